"""Measures of a conversion: against a reference, against the source, and by models of speech."""
