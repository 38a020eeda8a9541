"""How the base voices that ship (data/base) are made; README.md has the commands."""
