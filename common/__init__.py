"""What every layer stands on: errors, files, progress, random numbers, text."""
