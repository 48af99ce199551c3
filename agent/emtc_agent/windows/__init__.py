"""TODO windows."""
