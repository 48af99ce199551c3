"""The commands of ``emtc-trainer``, a file each."""
