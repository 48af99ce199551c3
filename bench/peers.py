"""What people use today, each as its own documentation says; runs in ``.venv-bench``, without our packages."""

from __future__ import annotations

from bench.child import Run, serve


def _nfstream() -> Run:
    """Statistics of bidirectional flows, without looking into payload; one meter, as all get one core."""
    from nfstream import NFStreamer

    def run(path: str) -> tuple[int, int]:
        packets = flows = 0
        for flow in NFStreamer(source=path, n_dissections=0, statistical_analysis=True, n_meters=1):
            packets += flow.bidirectional_packets
            flows += 1
        return packets, flows

    return run


def _dpkt() -> Run:
    """Packets counted by their five-tuple, without any other feature."""
    import dpkt

    def run(path: str) -> tuple[int, int]:
        flows: dict[tuple[bytes, bytes, int, int, int], int] = {}
        packets = 0
        with open(path, "rb") as file:  # noqa: PTH123 (dpkt reads the file object itself)
            for _, octets in dpkt.pcap.Reader(file):
                packets += 1
                ip = dpkt.ethernet.Ethernet(octets).data
                if isinstance(ip, (dpkt.ip.IP, dpkt.ip6.IP6)):
                    protocol = ip.p if isinstance(ip, dpkt.ip.IP) else ip.nxt
                    ports = getattr(ip.data, "sport", 0), getattr(ip.data, "dport", 0)
                    key = ip.src, ip.dst, protocol, *ports
                    flows[key] = flows.get(key, 0) + 1
        return packets, len(flows)

    return run


def _scapy() -> Run:
    """Packets dissected, without any feature."""
    from scapy.layers.l2 import Ether
    from scapy.utils import RawPcapReader

    def run(path: str) -> tuple[int, int]:
        packets = 0
        with RawPcapReader(path) as reader:
            for octets, _ in reader:
                Ether(octets)
                packets += 1
        return packets, 0

    return run


def _cicflowmeter() -> Run:
    """Flows with the features of CICFlowMeter; it leaves out what is neither TCP nor UDP."""
    import os

    import scapy.layers.all  # noqa: F401 (so that scapy dissects)
    from cicflowmeter.flow_session import FlowSession
    from scapy.utils import PcapReader

    class Counter:
        rows = 0

        def write(self, flow: dict[str, object]) -> None:
            self.rows += 1

    def run(path: str) -> tuple[int, int]:
        FlowSession.output_mode, FlowSession.output = "csv", os.devnull
        session, counter, packets = FlowSession(), Counter(), 0
        session.output_writer = counter
        with PcapReader(path) as reader:
            for packet in reader:
                session.on_packet_received(packet)
                packets += 1
        session.garbage_collect(None)
        return packets, counter.rows

    return run


CONTENDERS = {"nfstream": _nfstream, "dpkt": _dpkt, "scapy": _scapy, "cicflowmeter": _cicflowmeter}

if __name__ == "__main__":
    serve(CONTENDERS)
