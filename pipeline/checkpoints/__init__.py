"""Files of models that others trained: found, checked before memory is spent, and read without running code."""
