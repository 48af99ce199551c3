"""What the shipped unit lets a process do under a real systemd, what it does not, and the daemon in it.

PROBE tells what only something in its place can tell; the rest is the daemon itself.
"""

import json
import time
from pathlib import Path

from systemd_box import HERE, in_a_box, said

NET_RAW = 1 << 13

PROBE = """
import io, json, mmap, os, pathlib, socket, time
from contextlib import redirect_stdout
from emtc_agent.cli import main
from emtc_agent.health.notify import Notifier
from emtc_agent.sources.live import LiveCapture

def tried(what):
    try:
        return what()
    except OSError as error:
        return error.strerror

def replay(runtime):
    told = io.StringIO()
    with redirect_stdout(told):
        main(["replay", "CAPTURE", "--json", "--runtime", runtime], standalone_mode=False)
    return json.loads(told.getvalue().splitlines()[-1])["summary"]["incidents"]

def ring():
    with LiveCapture(["lo"]):
        return "captures"

folder = lambda name: pathlib.Path(os.environ[name])
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
found = {
    "root": os.getuid() == 0,
    "capabilities": [int(status[name], 16) for name in ("CapEff", "CapBnd")],
    "ready": Notifier().ready(),
    "watchdog_us": os.environ.get("WATCHDOG_USEC"),
    "interfaces": len(socket.if_nameindex()),
    "ring": tried(ring),
    "litert": replay("litert"),
    "onnxruntime": replay("onnxruntime"),
    "state": tried(lambda: (folder("STATE_DIRECTORY") / "x").write_text("x")),
    "runtime": tried(lambda: (folder("RUNTIME_DIRECTORY") / "x").write_text("x")),
    "credentials": sorted(path.name for path in folder("CREDENTIALS_DIRECTORY").iterdir()),
    "settings": tried(lambda: open("/etc/emtc-guard/gateway.toml").read(7)),
    "key at its source": tried(lambda: open("/etc/emtc-guard/credentials/client.key").read()),
    "change settings": tried(lambda: open("/etc/emtc-guard/gateway.toml", "a").close()),
    "write and execute": tried(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)),
    "another family": tried(lambda: socket.socket(socket.AF_VSOCK)),
    "others": [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()],
}
folder("RUNTIME_DIRECTORY").joinpath("part").write_text(json.dumps(found, default=str))
folder("RUNTIME_DIRECTORY").joinpath("part").rename(folder("RUNTIME_DIRECTORY") / "told")
time.sleep(60)
""".replace("CAPTURE", f"{HERE}/lab/recordings/demo/capture.pcap.gz")

TELL_OF_PROBE = """
while [ ! -e /run/emtc-guard/told ] && ! systemctl -q is-failed emtc-agent; do sleep 0.1; done
cp /run/emtc-guard/told "$GIVEN"/told
systemctl show emtc-agent -p ActiveState >"$GIVEN"/shown
"""

DAEMON = "from emtc_agent.cli import main\nmain(prog_name='emtc-agent')\n"

SETTINGS = """
version = 1
[gateway]
name = "gw-1"
[capture]
interfaces = ["lo"]
[broker]
url = "mqtts://127.0.0.1:1"
ca_file = "mqtt_ca.crt"
certificate = "mqtt_client.crt"
private_key = "mqtt_client.key"
[state]
folder = "/var/lib/emtc-guard"
"""

TELL_OF_DAEMON = """
until_so() {
  for try in $(seq 200); do if "$@"; then return; fi; sleep 0.05; done
  echo "in vain=$*" >>"$GIVEN"/shown
}
show() { systemctl show emtc-agent --timestamp=us -p "$1" --value; }
keep() { echo "$1=$(show "$2")" >>"$GIVEN"/shown; }
said() { grep -q "$1" "$GIVEN"/errors; }
pinged() { [ "$(show WatchdogTimestampMonotonic)" != "$last" ]; }
told() { [ -n "$(show StatusText)" ]; }

until_so systemctl -q is-active emtc-agent
keep ready ActiveState
until_so told
keep status StatusText
for count in 1 2 3; do last=$(show WatchdogTimestampMonotonic); until_so pinged; done
keep pinged ActiveState
echo "state=$(stat -c '%U %a' /var/lib/emtc-guard/state.db)" >>"$GIVEN"/shown

echo 'close_after_s = nonsense' >>/etc/emtc-guard/gateway.toml
systemctl reload emtc-agent
until_so said "settings stay as they are"
cp "$GIVEN"/gateway.toml /etc/emtc-guard/
printf '[incidents]\\nclose_after_s = 5\\n' >>/etc/emtc-guard/gateway.toml
systemctl reload emtc-agent
until_so said "settings were read again"
until_so systemctl -q is-active emtc-agent
keep reloaded ActiveState

systemctl stop emtc-agent
keep stopped Result
keep code ExecMainStatus

systemctl start emtc-agent
keep again ActiveState
kill -STOP "$(show MainPID)"
until_so systemctl -q is-failed emtc-agent
keep hung Result
"""


def probed(given: Path, **credentials: str) -> dict:
    """What the probe finds in the place of the daemon."""
    in_a_box(given, PROBE, TELL_OF_PROBE, **credentials)
    assert (given / "told").exists(), said(given)
    return json.loads((given / "told").read_text())


def shown(given: Path) -> dict[str, str]:
    lines = (given / "shown").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_the_unit_lets_the_agent_work_and_nothing_else(tmp_path):
    found = probed(tmp_path, client_crt="certificate", client_key="key")
    assert shown(tmp_path) == {"ActiveState": "active"}
    assert found.pop("interfaces") >= 1
    assert found == {
        "root": False,
        "capabilities": [NET_RAW, NET_RAW],
        "ready": True,
        "watchdog_us": "60000000",
        "ring": "captures",
        "litert": 4,
        "onnxruntime": 4,
        "state": 1,
        "runtime": 1,
        "credentials": ["mqtt_client.crt", "mqtt_client.key"],
        "settings": "version",
        "key at its source": "Permission denied",
        "change settings": "Permission denied",
        "write and execute": "Operation not permitted",
        "another family": "Address family not supported by protocol",
        "others": [],
    }


def test_the_daemon_starts_pings_reloads_stops_and_is_ended_when_it_hangs(tmp_path):
    """There is no broker and no certificate: it starts all the same, and says so."""
    begin_s = time.monotonic()
    in_a_box(tmp_path, DAEMON, TELL_OF_DAEMON, "WatchdogSec=2\n", gateway_toml=SETTINGS)
    found = shown(tmp_path)
    status = found.pop("status")
    assert status.startswith("0 packets, 0 incidents open; "), said(tmp_path)
    assert "connected" in status or "mqtt_ca.crt" in status
    assert found == {
        "ready": "active",
        "pinged": "active",
        "state": "emtc 600",
        "reloaded": "active",
        "stopped": "success",
        "code": "0",
        "again": "active",
        "hung": "watchdog",
    }, said(tmp_path)
    errors = (tmp_path / "errors").read_text()
    assert "mqtt_ca.crt" in errors
    assert "watching lo" in errors
    assert "Traceback" not in errors
    assert time.monotonic() - begin_s < 30
