"""The lab: real programs in own network namespaces -> labelled captures (see docs/lab.md)."""
