"""The commands of ``emtc-agent``, a file each."""
