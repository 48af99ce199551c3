"""``edge-v1``: the feature schema for real gateways.

One row describes one window of one endpoint (a device behind the gateway). "Up" is sent by the endpoint,
"down" is received by it. Sizes are network-layer lengths (IP total length), so padding and offloads do not
matter. Shares are fractions of the window's packets. No column is an absolute time, an identifier or a
cumulative counter. Reasons for the choice: docs/decisions/009-edge-v1.md.
"""

from __future__ import annotations

from emtc_contract.schema import Feature, FeatureSchema, WindowSpec

SERVICES = ("dns", "ntp", "dhcp", "mqtt", "coap", "http", "tls", "telnet", "shell", "industrial", "discovery")


def _log(name: str, title: str, unit: str, meaning: str) -> Feature:
    return Feature(name, unit, title, meaning, scale="log")


def _share(name: str, title: str, meaning: str) -> Feature:
    return Feature(name, "share", title, meaning)


_FEATURES = (
    _log("packets", "packets in a window", "count", "packets in the window"),
    _log("packets_per_s", "packet rate", "1/s", "(packets - 1) / duration, duration at least 1 ms; 0 for one packet"),
    _share("up_packet_share", "packets sent rather than received", "packets sent by the endpoint"),
    _log("up_size_mean", "mean size sent", "B", "mean size of sent packets, 0 if none"),
    _log("up_size_std", "spread of sizes sent", "B", "population standard deviation of the size of sent packets"),
    _log("up_size_min", "smallest packet sent", "B", "smallest sent packet, 0 if none"),
    _log("up_size_max", "largest packet sent", "B", "largest sent packet, 0 if none"),
    _log("down_size_mean", "mean size received", "B", "mean size of received packets, 0 if none"),
    _log(
        "down_size_std",
        "spread of sizes received",
        "B",
        "population standard deviation of the size of received packets",
    ),
    _log("down_size_max", "largest packet received", "B", "largest received packet, 0 if none"),
    _log(
        "iat_std", "spread of time between packets", "s", "population standard deviation of the time between packets"
    ),
    _log("iat_max", "longest pause", "s", "longest time between two packets"),
    _share("burst_share", "packets in bursts", "packets within 1 ms of the previous packet of the window"),
    _share("udp_share", "UDP", "UDP packets"),
    _share("icmp_share", "ICMP", "ICMP and ICMPv6 packets"),
    _share("arp_share", "ARP", "ARP packets"),
    _share("other_share", "unusual protocols", "packets that are not TCP, UDP, ICMP or ARP"),
    _share("fragment_share", "IP fragments", "IP fragments"),
    _share("malformed_share", "broken packets", "packets with a broken header"),
    _share("syn_share", "connection attempts", "TCP SYN without ACK, sent or received"),
    _share(
        "syn_unanswered_share",
        "unanswered connection attempts",
        "SYNs minus SYN-ACKs in the opposite direction, never below 0",
    ),
    _share("fin_share", "closed connections", "TCP FIN"),
    _share("rst_share", "resets sent", "TCP RST sent"),
    _share("rst_in_share", "resets received", "TCP RST received"),
    _share(
        "odd_flags_share",
        "impossible TCP flags",
        "TCP with no flag, FIN+PSH+URG, SYN+FIN, or a zero window (not RST)",
    ),
    _log("remotes", "remote addresses", "count", "distinct remote addresses"),
    _log("remote_ports", "remote ports", "count", "distinct remote TCP/UDP ports"),
    _log("local_ports", "local ports", "count", "distinct local TCP/UDP ports"),
    _share("top_remote_share", "traffic with one remote", "packets of the most used remote address"),
    _share(
        "new_remote_share", "traffic with new remotes", "packets with a remote this endpoint had not talked to before"
    ),
    _share(
        "new_service_share",
        "traffic with new services",
        "packets with a (remote, service) pair this endpoint had not used before",
    ),
    *(
        _share(f"{service}_share", f"{service} traffic", f"packets on a port of service '{service}'")
        for service in SERVICES
    ),
    _share("arp_unasked_share", "ARP replies nobody asked for", "ARP replies received beyond the ARP requests sent"),
    _log(
        "arp_conflicts",
        "ARP address conflicts",
        "count",
        "ARP sender addresses claimed by a further hardware address",
    ),
    _log("ttl_spread", "spread of TTLs", "hops", "largest minus smallest TTL / hop limit of received IP packets"),
    _share("dns_nxdomain_share", "DNS names that do not exist", "DNS responses that say the name does not exist"),
    _log("dns_name_len", "length of DNS names", "B", "mean length of the names in DNS queries, 0 if none"),
    _share("dns_txt_share", "DNS TXT queries", "DNS queries of type TXT or NULL"),
    _log(
        "dns_double_answers",
        "doubly answered DNS queries",
        "count",
        "DNS responses to a transaction that already had one",
    ),
    _share("mqtt_connect_share", "MQTT logins", "MQTT CONNECT"),
    _share("mqtt_refused_share", "refused MQTT logins", "MQTT CONNACK with an error code"),
    _share("mqtt_subscribe_share", "MQTT subscriptions", "MQTT SUBSCRIBE"),
    _share("mqtt_malformed_share", "malformed MQTT", "segments on an MQTT port that start with an impossible header"),
    _share("coap_error_share", "CoAP errors", "CoAP 4.xx and 5.xx responses"),
    _share("tls_alert_share", "TLS alerts", "TLS alerts"),
    _share("login_share", "ssh, telnet or ftp login attempts", "TCP SYNs to an ssh, telnet or ftp port"),
    _share("modbus_write_share", "Modbus writes", "Modbus requests that write"),
    _share("unreachable_share", "unreachable destinations", "ICMP destination unreachable"),
    _log("idle_before_s", "silence before", "s", "silence of the endpoint before the window, at most 600"),
)

EDGE_V1 = FeatureSchema(
    name="edge-v1",
    version=1,
    window=WindowSpec(scope="endpoint", packets=32, seconds=10.0),
    features=_FEATURES,
)
