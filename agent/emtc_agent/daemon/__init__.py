"""The gateway's process: everything that has threads, signals, files and sockets of its own comes together here."""

from emtc_agent.daemon.daemon import Daemon, Order

__all__ = ["Daemon", "Order"]
