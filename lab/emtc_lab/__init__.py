"""The lab: real programs in own network namespaces -> labelled captures (see lab/README.md)."""
