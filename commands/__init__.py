"""The commands, one in each file: it parses its options, calls one function of `stages`, and prints the report."""
