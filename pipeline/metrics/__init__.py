"""Who judges a conversion, and by which measures."""
