"""``edge-v1``: the feature schema for real gateways.

One row describes one window of one endpoint (a device behind the gateway). "Up" is sent by the endpoint,
"down" is received by it. Sizes are network-layer lengths (IP total length), so padding and offloads do not
matter. Shares are fractions of the window's packets. No column is an absolute time, an identifier or a
cumulative counter. Reasons for the choice: docs/decisions/002-edge-v1.md.
"""

from __future__ import annotations

from emtc_contract.schema import Feature, FeatureSchema, WindowSpec

SERVICES = ("dns", "ntp", "dhcp", "mqtt", "coap", "http", "tls", "telnet", "shell", "industrial", "discovery")


def _log(name: str, unit: str, meaning: str) -> Feature:
    return Feature(name, unit, meaning, scale="log")


def _share(name: str, meaning: str) -> Feature:
    return Feature(name, "share", meaning)


_FEATURES = (
    _log("packets", "count", "packets in the window"),
    _log("packets_per_s", "1/s", "(packets - 1) / duration, duration at least 1 ms; 0 for one packet"),
    _share("up_packet_share", "packets sent by the endpoint"),
    _log("up_size_mean", "B", "mean size of sent packets, 0 if none"),
    _log("up_size_std", "B", "population standard deviation of the size of sent packets"),
    _log("up_size_min", "B", "smallest sent packet, 0 if none"),
    _log("up_size_max", "B", "largest sent packet, 0 if none"),
    _log("down_size_mean", "B", "mean size of received packets, 0 if none"),
    _log("down_size_std", "B", "population standard deviation of the size of received packets"),
    _log("down_size_max", "B", "largest received packet, 0 if none"),
    _log("iat_std", "s", "population standard deviation of the time between packets"),
    _log("iat_max", "s", "longest time between two packets"),
    _share("burst_share", "packets within 1 ms of the previous packet of the window"),
    _share("udp_share", "UDP packets"),
    _share("icmp_share", "ICMP and ICMPv6 packets"),
    _share("arp_share", "ARP packets"),
    _share("other_share", "packets that are not TCP, UDP, ICMP or ARP"),
    _share("fragment_share", "IP fragments"),
    _share("malformed_share", "packets with a broken header"),
    _share("syn_share", "TCP SYN without ACK, sent or received"),
    _share("syn_unanswered_share", "SYNs minus SYN-ACKs in the opposite direction, never below 0"),
    _share("fin_share", "TCP FIN"),
    _share("rst_share", "TCP RST sent"),
    _share("rst_in_share", "TCP RST received"),
    _share("odd_flags_share", "TCP with no flag, FIN+PSH+URG, SYN+FIN, or a zero window (not RST)"),
    _log("remotes", "count", "distinct remote addresses"),
    _log("remote_ports", "count", "distinct remote TCP/UDP ports"),
    _log("local_ports", "count", "distinct local TCP/UDP ports"),
    _share("top_remote_share", "packets of the most used remote address"),
    _share("new_remote_share", "packets with a remote this endpoint had not talked to before"),
    _share("new_service_share", "packets with a (remote, service) pair this endpoint had not used before"),
    *(_share(f"{service}_share", f"packets on a port of service '{service}'") for service in SERVICES),
    _share("arp_unasked_share", "ARP replies received beyond the ARP requests sent"),
    _log("arp_conflicts", "count", "ARP sender addresses claimed by a further hardware address"),
    _log("ttl_spread", "hops", "largest minus smallest TTL / hop limit of received IP packets"),
    _share("dns_nxdomain_share", "DNS responses that say the name does not exist"),
    _log("dns_name_len", "B", "mean length of the names in DNS queries, 0 if none"),
    _share("dns_txt_share", "DNS queries of type TXT or NULL"),
    _log("dns_double_answers", "count", "DNS responses to a transaction that already had one"),
    _share("mqtt_connect_share", "MQTT CONNECT"),
    _share("mqtt_refused_share", "MQTT CONNACK with an error code"),
    _share("mqtt_subscribe_share", "MQTT SUBSCRIBE"),
    _share("mqtt_malformed_share", "segments on an MQTT port that start with an impossible header"),
    _share("coap_error_share", "CoAP 4.xx and 5.xx responses"),
    _share("tls_alert_share", "TLS alerts"),
    _share("login_share", "TCP SYNs to an ssh, telnet or ftp port"),
    _share("modbus_write_share", "Modbus requests that write"),
    _share("unreachable_share", "ICMP destination unreachable"),
    _log("idle_before_s", "s", "silence of the endpoint before the window, at most 600"),
)

EDGE_V1 = FeatureSchema(
    name="edge-v1",
    version=1,
    window=WindowSpec(scope="endpoint", packets=32, seconds=10.0),
    features=_FEATURES,
)
