"""f0: tracking, repair, and the key that suits a voice."""
