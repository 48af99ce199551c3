"""The report: one self-contained page with tables and plots, and the model card."""
