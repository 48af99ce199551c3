"""The shipped unit under a real systemd of its own.

systemd runs as PID 1 of fresh namespaces; all it writes goes to memory. The test says what ``emtc-agent`` is in
there, and what is done beside it.
"""

from __future__ import annotations

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
TIMEOUT_S = 40

BOX = """
set -e
mount --make-rprivate /
mount -t proc proc /proc
umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for place in /run /var/lib /opt; do mount -t tmpfs -o mode=755 tmpfs $place; done
mkdir -p /opt/python /opt/emtc-guard /run/systemd/system/emtc-agent.service.d
for place in /etc /usr/local/bin; do
  own=/opt/own/$(basename $place)
  mkdir -p $own/upper $own/work
  mount -t overlay overlay -o lowerdir=$place,upperdir=$own/upper,workdir=$own/work $place
done
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
install -m 755 "$GIVEN"/emtc-agent /usr/local/bin/
mount --make-rshared /
exec /lib/systemd/systemd --system --unit=box.target --log-target=null --show-status=no
"""

IN_A_BOX = f"""
[Unit]
DefaultDependencies=no
[Service]
Environment=LD_LIBRARY_PATH=/opt/python/lib PYTHONDONTWRITEBYTECODE=1
Environment=PYTHONPATH={HERE}/$PACKAGES:{HERE}/agent:{HERE}/contract
StandardError=append:$GIVEN/errors
Restart=no
"""

TARGET = "[Unit]\nDefaultDependencies=no\nWants=emtc-agent.service tell.service\n"
TELLER = "[Unit]\nDefaultDependencies=no\n[Service]\nEnvironment=GIVEN=$GIVEN\nExecStart=/bin/sh $GIVEN/tell\n"
PYTHON = f"#!/opt/python/bin/python{sys.version_info.major}.{sys.version_info.minor}\n"


def need_systemd() -> None:
    """Skip where systemd cannot be PID 1 of new namespaces."""
    if os.geteuid():
        pytest.skip("needs root")
    if not Path(site.getsitepackages()[0]).is_relative_to(ROOT):
        pytest.skip("the environment is not inside the checkout")
    if not Path("/lib/systemd/systemd").exists():
        pytest.skip("systemd is not installed")
    try_it = (
        "mount --make-rprivate / && mount -t proc proc /proc"
        " && umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup"
        " && mount -t tmpfs none /opt && mkdir /opt/u /opt/w"
        " && mount -t overlay none -o lowerdir=/etc,upperdir=/opt/u,workdir=/opt/w /etc"
    )
    done = subprocess.run(
        ["unshare", "-mpfCuni", "sh", "-c", try_it], capture_output=True, text=True, timeout=20, check=False
    )
    if done.returncode:
        pytest.skip(f"no room for another systemd here: {done.stderr.strip()[:100]}")


def in_a_box(given: Path, program: str, tell: str, more: str = "", **files: str) -> None:
    """Run the unit with a program as ``emtc-agent``, until a script that runs beside it has ended.

    Args:
        given: Folder that both sides see; ``errors`` in it is what the program says.
        program: Python.
        tell: Shell script, with $GIVEN.
        more: Further lines of the unit's section [Service].
        files: Settings and credentials by their names, "_" for ".".
    """
    need_systemd()
    packages = Path(site.getsitepackages()[0]).relative_to(ROOT)
    content = {
        "gateway.toml": "version = 1\n",
        "emtc-agent": PYTHON + program,
        "in-a-box.conf": IN_A_BOX.replace("$PACKAGES", str(packages)) + more,
        "box.target": TARGET,
        "tell.service": TELLER,
        "tell": tell + '\ntouch "$GIVEN"/done\n',
        **{name.replace("_", "."): text for name, text in files.items()},
    }
    for name, text in content.items():
        (given / name).write_text(text.replace("$GIVEN", str(given)))
    paths = {"GIVEN": given, "ROOT": ROOT, "CONFIG": CONFIG, "PREFIX": sys.base_prefix}
    environment = {**os.environ, **{name: str(path) for name, path in paths.items()}, "container": "test"}
    with (given / "log").open("wb") as log:
        command = ["unshare", "-mpfCuni", "--kill-child", "sh", "-c", BOX]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _until((given / "done").exists, process)
    finally:
        process.kill()
        process.wait(10)
    assert (given / "done").exists(), said(given)


def said(given: Path) -> str:
    """What went wrong in the box."""
    return "\n".join(path.read_text() for name in ("shown", "errors", "log") if (path := given / name).exists())


def _until(happened, process) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not happened() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)  # another process tree tells by a file
