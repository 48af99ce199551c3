"""Servers of the lab: the cloud's, and those that devices offer on the LAN."""
