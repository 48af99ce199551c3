"""Starting the servers: broker, web, CoAP, DNS, NTP in the cloud; DNS and DHCP at the gateway; the attacker's."""

from __future__ import annotations

import sys
from pathlib import Path

from emtc_lab.processes import Processes, run
from emtc_lab.site import ATTACKER_OUTSIDE_IP, C2_IP, DOMAIN, SERVICES, TUNNEL_DOMAIN, Host, Site, host_name
from emtc_lab.topology import CLOUD, OUTSIDE

_WAIT_S = 20.0


def start_services(processes: Processes, work: Path, site: Site, hosts: list[Host]) -> None:
    """Write their settings below ``work`` and start all of them."""
    certificate = _certificate(work)
    (work / "mosquitto.conf").write_text(
        f"listener 1883 {SERVICES['broker']}\nallow_anonymous true\nuser root\nmax_connections 800\n"
    )
    (work / "chrony.conf").write_text(
        f"local stratum 8\nallow all\nbindaddress {SERVICES['time']}\ncmdport 0\npidfile {work / 'chrony.pid'}\n"
    )
    coap = ["coap-server-notls", "-A", SERVICES["coap"], "-p", "5683", "-d", "60"]
    own = [sys.executable, "-m", "emtc_lab.services"]
    start_broker(processes, work)
    processes.start("service-coap", coap, CLOUD)
    processes.start("service-time", ["chronyd", "-x", "-d", "-u", "root", "-f", str(work / "chrony.conf")], CLOUD)
    processes.start("service-cloud", [*own, "cloud", str(certificate)], CLOUD)
    processes.start("service-c2", [*own, "c2", str(certificate)], OUTSIDE)
    start_cloud_dns(processes, work)
    _start_dns(processes, work, "outside-dns", OUTSIDE, ATTACKER_OUTSIDE_IP, f"address=/{TUNNEL_DOMAIN}/{C2_IP}\n")
    _start_gateway(processes, work, site, hosts)
    for name in ("service-cloud", "service-c2"):
        processes.wait_for(name, b"ready", _WAIT_S)
    for name in ("service-cloud-dns", "service-outside-dns", "service-gateway-dns"):
        processes.wait_for(name, b"started", _WAIT_S)


def start_broker(processes: Processes, work: Path) -> None:
    """The MQTT broker; also after a planned restart."""
    processes.start("service-broker", ["mosquitto", "-c", str(work / "mosquitto.conf")], CLOUD)


def start_cloud_dns(processes: Processes, work: Path) -> None:
    """The cloud's name server; also after a planned failure."""
    hosts = "".join(f"address=/{host_name(name)}/{ip}\n" for name, ip in SERVICES.items())
    forward = f"server=/{TUNNEL_DOMAIN}/{ATTACKER_OUTSIDE_IP}\nlocal=/{DOMAIN}/\nlocal=/example.net/\n"
    _start_dns(processes, work, "cloud-dns", CLOUD, SERVICES["dns"], hosts + forward)


def _start_gateway(processes: Processes, work: Path, site: Site, hosts: list[Host]) -> None:
    leases = "".join(f"dhcp-host={host.mac},{host.ip},{host.name}\n" for host in hosts)
    _start_dns(
        processes,
        work,
        "gateway-dns",
        site.gateway.name,
        site.gateway.ip,
        f"interface=br0\nserver={SERVICES['dns']}\ncache-size=150\nmax-cache-ttl=60\n"
        f"dhcp-range={site.lan}.10,{site.lan}.250,600s\ndhcp-leasefile={work / 'leases'}\nno-ping\n{leases}",
    )


def _start_dns(processes: Processes, work: Path, name: str, namespace: str, ip: str, more: str) -> None:
    settings = work / f"{name}.conf"
    settings.write_text(
        f"no-resolv\nno-hosts\nlisten-address={ip}\nbind-interfaces\nlocal-ttl=60\npid-file={work / name}.pid\n{more}"
    )
    processes.start(f"service-{name}", ["dnsmasq", "--no-daemon", f"--conf-file={settings}"], namespace)


def _certificate(work: Path) -> Path:
    key, certificate, both = work / "key.pem", work / "certificate.pem", work / "tls.pem"
    run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-days", "30", "-subj", f"/CN={host_name('api')}", "-keyout", str(key), "-out", str(certificate)),
    )
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return both
