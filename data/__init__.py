"""What ships with the program: the encoder `mini`, the phone classifier, and synthetic singers."""
