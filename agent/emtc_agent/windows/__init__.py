"""Endpoints and their windows: bounded tables, sets and pools; times and order, no features."""
