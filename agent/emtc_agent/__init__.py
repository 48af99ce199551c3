"""The gateway agent: capture -> columns -> windows -> features -> scores -> incidents -> reports."""

__version__ = "0.1.0"
