"""Where packets come from: capture files (pcap, pcapng, gzip), folders of them, standard input."""

from emtc_agent.sources.capture_set import CaptureSet, expand
from emtc_agent.sources.files import open_capture
from emtc_agent.sources.reader import CaptureReader, SourceStats

__all__ = ["CaptureReader", "CaptureSet", "SourceStats", "expand", "open_capture"]
