"""Judging detectors by attacks seen and false incidents raised, on whole runs that nobody trained on."""
