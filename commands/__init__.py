"""The commands, one a file: each parses its options, calls one function of `stages`, and prints the report."""
