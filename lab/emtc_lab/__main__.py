"""``python -m emtc_lab``."""

from emtc_lab.cli import main

main()
