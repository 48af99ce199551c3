"""TODO detector."""
