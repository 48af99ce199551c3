"""A gateway between two networks, for tests that run inside ``unshare -Urnm``: nothing here has a way out.

::

    devices --- "out" = "in" [ this namespace: the agent ] "uplink" = "net" [ another: mosquitto, subscribers ]

The broker has the shipped configuration, and everybody the files that ``emtc-agent provision`` made.
"""

from __future__ import annotations

import json
import os
import random
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import frames

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parents[1]
BROKER, UPLINK = "10.99.0.2", "10.99.0.1"
TOP = "emtc/v1/acme/gw-1"
PATIENCE_S = 60
_FLEET = f"""
[broker]
url = "mqtts://{BROKER}"
[[gateway]]
client = "acme"
name = "gw-1"
[[operator]]
name = "ear"
[[operator]]
name = "mouth"
"""
_SETTINGS = """
version = 1
[gateway]
client = "acme"
name = "gw-1"
[capture]
interfaces = ["in"]
[broker]
url = "{url}"
ca_file = "ca.crt"
certificate = "credentials/client.crt"
private_key = "credentials/client.key"
retry_at_most_every_s = 1.0
keepalive_s = 10
[outbox]
messages_per_s = 1000.0
spread_s = 0.0
[incidents]
close_after_s = 600.0
[health]
every_s = 5.0
[state]
folder = "{state}"
"""


def run(*command) -> None:
    subprocess.run([*map(str, command)], check=True)


def ip(text: str) -> None:
    run("ip", *text.split())


def until(condition, what: str, patience_s: float = PATIENCE_S):
    """Wait for a condition; returns what it gave."""
    deadline = time.monotonic() + patience_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        pause(0.02)
    return found


def pause(seconds: float) -> None:
    """Let the other programs work: traffic has to take time."""
    select.select([], [], [], seconds)


class Scene:
    """The place and its programs; ends them all at the end."""

    def __init__(self, folder: Path, *, settings: str = "") -> None:
        self.folder = folder
        self.state = folder / "state"
        self._programs: list[subprocess.Popen] = []
        self._networks()
        listed = folder / "fleet.toml"
        listed.write_text(_FLEET)
        run(BIN / "emtc-agent", "provision", listed, "-o", folder / "made", "--ca", folder / "ca")
        self.own = folder / "made" / "gateways" / "acme" / "gw-1"
        self.settings = self.own / "gateway.toml"
        self.write_settings(settings)
        self.broker: subprocess.Popen | None = None
        self.agent: subprocess.Popen | None = None
        self._heard = folder / "heard.txt"
        self._heard.touch()
        self.errors = (folder / "agent.log").open("ab")

    def write_settings_quick_end(self) -> None:
        """Incidents end after two quiet seconds."""
        self.settings.write_text(self.settings.read_text().replace("close_after_s = 600.0", "close_after_s = 2.0"))

    def write_settings(self, more: str = "", url: str = f"mqtts://{BROKER}") -> None:
        self.settings.write_text(_SETTINGS.format(url=url, state=self.state) + more)

    def _networks(self) -> None:
        for which in ("all", "default"):  # IPv6 greets new links by itself
            Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6").write_text("1")
        ip("link set lo up")
        ip("link add in type veth peer name out")
        ip("link set in up")
        ip("link set out up")
        self._outside = subprocess.Popen(["unshare", "-n", "sleep", "3600"])
        self._programs.append(self._outside)
        own = Path("/proc/self/ns/net").readlink()
        until(lambda: Path(f"/proc/{self._outside.pid}/ns/net").readlink() != own, "a namespace")
        ip("link add uplink type veth peer name net")
        ip(f"link set net netns {self._outside.pid}")
        ip(f"addr add {UPLINK}/24 dev uplink")
        ip("link set uplink up")
        self.outside("ip", "addr", "add", f"{BROKER}/24", "dev", "net")
        self.outside("ip", "link", "set", "net", "up")
        self.outside("ip", "link", "set", "lo", "up")
        self.wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.wire.bind(("out", 0))

    def elsewhere(self, *command) -> list[str]:
        return ["nsenter", "-t", str(self._outside.pid), "-n", *map(str, command)]

    def outside(self, *command) -> None:
        """Run something beside the broker."""
        run(*self.elsewhere(*command))

    def start_broker(self) -> None:
        made = self.folder / "made" / "broker"
        shipped = (ROOT / "firmware-config" / "mosquitto" / "emtc-guard.conf").read_text()
        text = shipped.replace("/etc/mosquitto/emtc-guard", str(made)).replace(
            "listener 8883", f"listener 8883 {BROKER}"
        )
        config = self.folder / "mosquitto.conf"
        # Saved on a signal and at its end only; the test kills it, so it has to save what has come at once.
        text = text.replace("autosave_interval 300", "autosave_interval 1\nautosave_on_changes true")
        text = text.replace("max_queued_messages 2000", "max_queued_messages 0")
        config.write_text(f"{text}\npersistence_location {self.folder}/\nuser root\n")
        log = (self.folder / "mosquitto.log").open("ab")
        self.broker = subprocess.Popen(self.elsewhere("mosquitto", "-c", config), stdout=log, stderr=log)
        self._programs.append(self.broker)
        until(lambda: not self.elsewhere_done("bash", "-c", f"exec 3<>/dev/tcp/{BROKER}/8883"), "the broker")

    def elsewhere_done(self, *command) -> int:
        return subprocess.run(self.elsewhere(*command), capture_output=True, check=False).returncode

    def kill_broker(self) -> None:
        self.broker.kill()
        self.broker.wait()

    def _as_mouth(self) -> list:
        own = self.folder / "made" / "operators" / "mouth"
        files = ("--cafile", own / "ca.crt", "--cert", own / "client.crt", "--key", own / "client.key")
        return ["-h", BROKER, "-p", "8883", "-V", "mqttv5", *files]

    def listen(self) -> None:
        """Subscribe to everything of the gateway, with a session that lasts."""
        command = self.elsewhere(sys.executable, Path(__file__).with_name("ear.py"), self.folder, BROKER, TOP)
        self._programs.append(subprocess.Popen(command, stderr=self.errors))

    def publish(self, topic: str, payload: str, *more) -> None:
        self.outside("mosquitto_pub", *self._as_mouth(), "-q", "1", "-t", topic, "-m", payload, *more)

    def announce(self, bundle: Path, key: Path) -> None:
        """Publish a bundle as ``emtc-export announce`` says."""
        made = self.folder / f"{bundle.name}.announced"
        announce = [BIN / "emtc-export", "announce", bundle, "--key", key, "-o", made, "--to", "acme/gw-1"]
        told = subprocess.run([*map(str, announce)], check=True, capture_output=True, text=True).stdout
        for line in told.splitlines():
            program, *rest = shlex.split(line)
            self.outside(program, *self._as_mouth(), *rest)

    def command(self, verb: str, payload: str = "{}") -> dict:
        """Command the gateway; returns its answer."""
        seen = len(self.heard("reply"))
        answer = ("-D", "publish", "response-topic", f"{TOP}/reply/mouth")
        self.publish(f"{TOP}/cmd/{verb}", payload, *answer)
        return until(lambda: self.heard("reply")[seen:], f"an answer to {verb}")[0][1]

    def heard(self, channel: str, *, retained: bool = False) -> list[tuple[float, dict]]:
        """(time, payload) of what the subscriber has received on a channel."""
        found = []
        for line in self._heard.read_bytes().splitlines(keepends=True):
            parts = line.decode(errors="replace").split(" ", 3)
            ours = line.endswith(b"\n") and len(parts) == 4 and parts[2].startswith(f"{TOP}/{channel}")
            if ours and (retained or parts[1] == "0"):
                found.append((float(parts[0]), json.loads(parts[3]) if parts[3].strip() else {}))
        return found

    def alerts(self) -> list[dict]:
        return [payload for _, payload in self.heard("alert")]

    def start_agent(self, *more) -> None:
        command = [BIN / "emtc-agent", "run", "-c", self.settings, "--json", *more]
        self.agent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._programs.append(self.agent)
        while b"watching" not in (line := self.agent.stderr.readline()):
            self.errors.write(line)
            assert line, "the agent ended: " + (self.folder / "agent.log").read_text()
        subprocess.Popen(["cat"], stdin=self.agent.stderr, stdout=self.errors)
        subprocess.Popen(["cat"], stdin=self.agent.stdout, stdout=(self.folder / "agent.json").open("ab"))

    def told(self) -> list[dict]:
        """Alerts that the agent printed."""
        lines = (self.folder / "agent.json").read_bytes().splitlines(keepends=True)
        parsed = [json.loads(line) for line in lines if line.endswith(b"\n")]
        return [one for one in parsed if "summary" not in one]

    def kill_agent(self) -> None:
        self.agent.kill()
        self.agent.wait()

    def stop_agent(self) -> int:
        self.agent.send_signal(signal.SIGTERM)
        return self.agent.wait(30)

    def agent_rss_bytes(self) -> int:
        fields = Path(f"/proc/{self.agent.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def scan(self, device: int, ports: int = 192) -> None:
        """A device scans the ports of a remote: enough evidence for an incident."""
        own, mac = f"10.1.{device >> 8}.{device & 255}", 0x02_00_00_01_00_00 + device
        for port in range(ports):
            syn = frames.tcp(flags=0x02, sport=40_000, dport=1 + port * 7 % 60_000)
            packet = frames.ipv4(syn, src=own, dst="203.0.113.9")
            self.wire.send(frames.ether(packet, src=mac, dst=0x02_00_00_00_00_FE))

    def chat(self, seconds: float, devices: int = 120) -> None:
        """Devices ask for names and publish readings over MQTT, twenty times a second each."""
        rng, begin_s, sent = random.Random(3), time.monotonic(), 0
        while (passed_s := time.monotonic() - begin_s) < seconds:
            while sent < passed_s * 20 * devices:
                self._chat_of(sent % devices, rng)
                sent += 1
            pause(0.005)

    def _chat_of(self, device: int, rng: random.Random) -> None:
        reading = b"\0\4temp" + bytes(rng.randrange(10, 50))
        query = frames.udp(frames.dns("sensor.example.org", rng.randrange(65_536)))
        publish = frames.tcp(bytes([0x30, len(reading)]) + reading, 50_000, 1_883, 0x18)
        for segment, proto in ((query, frames.UDP), (publish, frames.TCP)):
            packet = frames.ipv4(segment, src=f"10.1.1.{device}", dst="203.0.113.5", proto=proto)
            self.wire.send(frames.ether(packet, src=0x02_00_00_01_01_00 + device, dst=0x02_00_00_00_00_FE))

    def close(self) -> None:
        for program in reversed(self._programs):
            if program.poll() is None:
                program.kill()
            program.wait()
        self.errors.close()
