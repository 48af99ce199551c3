"""The shipped unit under a real systemd of its own: what a process in it can do, and what it cannot.

systemd runs as PID 1 of fresh namespaces; all it writes goes to memory. In place of the daemon runs PROBE, which does
what the daemon does, and tries what it must not.
"""

import json
import os
import site
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support import ROOT

CONFIG = ROOT / "firmware-config"
HERE = "/opt/emtc-guard"  # where the box shows the checkout, which may lie where only root can go
NET_RAW = 1 << 13
TIMEOUT_S = 40

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

BOX = """
set -e
mount --make-rprivate /
umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for place in /run /var/lib /opt; do mount -t tmpfs -o mode=755 tmpfs $place; done
mkdir -p /opt/python /opt/emtc-guard /opt/upper /opt/work /run/systemd/system/emtc-agent.service.d
mount -t overlay overlay -o lowerdir=/etc,upperdir=/opt/upper,workdir=/opt/work /etc
mount --bind "$PREFIX" /opt/python
mount --bind "$ROOT" /opt/emtc-guard
systemd-sysusers "$CONFIG"/sysusers.d/emtc-guard.conf
systemd-tmpfiles --create "$CONFIG"/tmpfiles.d/emtc-guard.conf
cp "$GIVEN"/gateway.toml /etc/emtc-guard/
for file in "$GIVEN"/client.*; do [ ! -e "$file" ] || cp "$file" /etc/emtc-guard/credentials/; done
systemd-tmpfiles --create "$CONFIG"/tmpfiles.d/emtc-guard.conf
ip link set lo up
cp "$CONFIG"/systemd/emtc-agent.service "$GIVEN"/box.target "$GIVEN"/tell.service /run/systemd/system/
cp "$GIVEN"/in-a-box.conf /run/systemd/system/emtc-agent.service.d/
cp "$GIVEN"/probe.py /run/
mount --make-rshared /
exec /lib/systemd/systemd --system --unit=box.target --log-target=null --show-status=no
"""

IN_A_BOX = f"""
[Unit]
DefaultDependencies=no
[Service]
Environment=LD_LIBRARY_PATH=/opt/python/lib PYTHONDONTWRITEBYTECODE=1
Environment=PYTHONPATH={HERE}/$PACKAGES:{HERE}/agent:{HERE}/contract
ExecStart=
ExecStart=/opt/python/bin/python{sys.version_info.major}.{sys.version_info.minor} /run/probe.py
StandardError=file:$GIVEN/errors
Restart=no
"""

TELL = """
while [ ! -e /run/emtc-guard/told ] && ! systemctl -q is-failed emtc-agent; do sleep 0.1; done
cp /run/emtc-guard/told "$GIVEN"/told
systemctl show emtc-agent -p ActiveState -p MemoryPeak >"$GIVEN"/shown
systemctl status emtc-agent -l --no-pager >"$GIVEN"/done.part
mv "$GIVEN"/done.part "$GIVEN"/done
"""

TARGET = "[Unit]\nDefaultDependencies=no\nWants=emtc-agent.service tell.service\n"
TELLER = "[Unit]\nDefaultDependencies=no\n[Service]\nEnvironment=GIVEN=$GIVEN\nExecStart=/bin/sh $GIVEN/tell\n"


def need_systemd() -> None:
    """Skip where systemd cannot be PID 1 of new namespaces."""
    if os.geteuid():
        pytest.skip("needs root")
    if not Path(site.getsitepackages()[0]).is_relative_to(ROOT):
        pytest.skip("the environment is not inside the checkout")
    if not Path("/lib/systemd/systemd").exists():
        pytest.skip("systemd is not installed")
    try_it = (
        "mount --make-rprivate / && umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup"
        " && mount -t tmpfs none /opt && mkdir /opt/u /opt/w"
        " && mount -t overlay none -o lowerdir=/etc,upperdir=/opt/u,workdir=/opt/w /etc"
    )
    done = subprocess.run(
        ["unshare", "-mpfCuni", "sh", "-c", try_it], capture_output=True, text=True, timeout=20, check=False
    )
    if done.returncode:
        pytest.skip(f"no room for another systemd here: {done.stderr.strip()[:100]}")


def in_a_box(given: Path, **credentials: str) -> dict:
    """What the probe finds when systemd runs it as the unit says."""
    need_systemd()
    packages = Path(site.getsitepackages()[0]).relative_to(ROOT)
    files = {
        "gateway.toml": "version = 1\n",
        "probe.py": PROBE,
        "in-a-box.conf": IN_A_BOX.replace("$PACKAGES", str(packages)),
        "box.target": TARGET,
        "tell.service": TELLER,
        "tell": TELL,
        **{name.replace("_", "."): content for name, content in credentials.items()},
    }
    for name, content in files.items():
        (given / name).write_text(content.replace("$GIVEN", str(given)))
    paths = {"GIVEN": given, "ROOT": ROOT, "CONFIG": CONFIG, "PREFIX": sys.base_prefix}
    environment = {**os.environ, **{name: str(path) for name, path in paths.items()}, "container": "test"}
    with (given / "log").open("wb") as log:
        command = ["unshare", "-mpfCuni", "--kill-child", "sh", "-c", BOX]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        until((given / "done").exists, process)
    finally:
        process.kill()
        process.wait(10)
    said = [path.read_text() for path in (given / "done", given / "errors", given / "log") if path.exists()]
    assert (given / "told").exists(), "\n".join(said)
    return json.loads((given / "told").read_text())


def until(happened, process) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not happened() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)  # another process tree tells by a file


def test_the_unit_lets_the_agent_work_and_nothing_else(tmp_path):
    found = in_a_box(tmp_path, client_crt="certificate", client_key="key")
    shown = dict(line.split("=") for line in (tmp_path / "shown").read_text().splitlines())
    assert shown["ActiveState"] == "active"
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


def test_a_gateway_without_a_certificate_starts(tmp_path):
    found = in_a_box(tmp_path)
    assert found["ready"]
    assert found["credentials"] == []
