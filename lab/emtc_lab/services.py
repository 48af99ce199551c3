"""The cloud side: real servers on the addresses that devices know."""

from __future__ import annotations

import sys
from pathlib import Path

from emtc_lab.processes import Processes, run
from emtc_lab.topology import CLOUD_IP, DNS_IP, NTP_IP

NAMES = {
    "broker.iot.example": CLOUD_IP,
    "api.iot.example": CLOUD_IP,
    "coap.iot.example": CLOUD_IP,
    "update.iot.example": CLOUD_IP,
    "time.iot.example": NTP_IP,
}
CAMERA_PORT = 5004


def start_services(processes: Processes, work: Path) -> None:
    """Start broker, web server (plain and TLS), CoAP server, DNS, NTP and a sink for camera streams."""
    _write_configuration(work)
    for name, command in _commands(work).items():
        processes.start(f"service-{name}", command, "cloud")


def _commands(work: Path) -> dict[str, list[str]]:
    python = [sys.executable, "-m", "emtc_lab.servers"]
    return {
        "mqtt": ["mosquitto", "-c", str(work / "mosquitto.conf")],
        "http": [*python, "web", CLOUD_IP, "80"],
        "https": [*python, "web", CLOUD_IP, "443", str(work / "tls.pem")],
        "coap": ["coap-server-notls", "-A", CLOUD_IP, "-p", "5683", "-d", "50"],
        "dns": ["dnsmasq", "--keep-in-foreground", f"--conf-file={work / 'dnsmasq.conf'}"],
        "ntp": ["chronyd", "-x", "-d", "-u", "root", "-f", str(work / "chrony.conf")],
        "camera": [*python, "sink", CLOUD_IP, str(CAMERA_PORT)],
    }


def _write_configuration(work: Path) -> None:
    (work / "mosquitto.conf").write_text(
        f"listener 1883 {CLOUD_IP}\nallow_anonymous true\nuser root\nmax_connections 500\n"
    )
    hosts = "\n".join(f"address=/{name}/{ip}" for name, ip in NAMES.items())
    (work / "dnsmasq.conf").write_text(
        f"no-resolv\nno-hosts\nuser=root\nlisten-address={DNS_IP}\nbind-interfaces\nport=53\n"
        f"local=/iot.example/\nlocal=/example.net/\npid-file={work / 'dnsmasq.pid'}\n{hosts}\n"
    )
    (work / "chrony.conf").write_text(
        f"local stratum 8\nallow all\nbindaddress {NTP_IP}\ncmdport 0\npidfile {work / 'chrony.pid'}\n"
    )
    key, certificate = work / "key.pem", work / "certificate.pem"
    subject = "/CN=api.iot.example"
    run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-days", "30", "-subj", subject, "-keyout", str(key), "-out", str(certificate)),
    )
    (work / "tls.pem").write_bytes(key.read_bytes() + certificate.read_bytes())
