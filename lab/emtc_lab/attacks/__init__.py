"""Types of attack: a file per family. ``types.py`` knows all of them."""
