"""The files of firmware-config/ are taken by the programs they are for, and keep what they promise."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from namespaces import need_namespaces
from support import ROOT

CONFIG = ROOT / "firmware-config"
UNIT = CONFIG / "systemd" / "emtc-agent.service"
MOST_EXPOSED = 20  # tenths; systemd-analyze(1) calls up to 2.0 "OK"
SBIN = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
NFT = shutil.which("nft", path=SBIN)
NEWER = {"RestartSteps", "RestartMaxDelaySec"}  # than systemd 254, which ignores them

SENDING = """
import errno, socket, subprocess, sys
for command in (
    "ip link set lo up",
    "ip link add out type veth peer name nowhere",
    "ip link set nowhere up",
    "ip addr add 192.0.2.1/24 dev out",
    "ip link set out up",
    f"{sys.argv[1]} -f {sys.argv[2]}",
    f"{sys.argv[1]} -f {sys.argv[2]}",
):
    subprocess.run(command.split(), check=True)
def sent(kind, port, host="192.0.2.9"):
    with socket.socket(socket.AF_INET, kind) as channel:
        channel.settimeout(0.2)
        try:
            channel.connect((host, port))
            channel.send(b"x")
        except TimeoutError:
            return "sent"  # into the void: nobody is there to answer
        except OSError as error:
            return errno.errorcode[error.errno]
        return "sent"
udp = [sent(socket.SOCK_DGRAM, port) for port in (53, 123, 8883, 9999)]
tcp = [sent(socket.SOCK_STREAM, port) for port in (8883, 53, 22, 443)]
with socket.create_server(("127.0.0.1", 0)) as here:
    own = sent(socket.SOCK_STREAM, here.getsockname()[1], "127.0.0.1")
print(*udp, *tcp, own)
"""


def program(name):
    found = shutil.which(name, path=SBIN)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, check=False)


def test_the_unit_is_hardly_exposed():
    analyze = program("systemd-analyze")
    if "--offline" not in run(analyze, "--help").stdout:
        pytest.skip("this systemd-analyze cannot look at a file")
    done = run(analyze, "security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager", UNIT)
    assert done.returncode == 0, done.stdout[-2_000:]
    assert re.search(r"Overall exposure level for emtc-agent.service: [01]\.\d|: 2\.0", done.stdout)


def test_systemd_understands_every_line_of_the_unit(tmp_path):
    analyze = program("systemd-analyze")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("ExecStart=emtc-agent", f"ExecStart={sys.executable}"))
    done = run(analyze, "verify", "--man=no", unit)
    complaints = [line for line in done.stderr.splitlines() if UNIT.name in line]
    unknown = [re.search(r"Unknown key(?: name)? '(\w+)'", line) for line in complaints]
    assert {found[1] if found else line for found, line in zip(unknown, complaints, strict=True)} <= NEWER


def test_the_user_and_the_folders_are_made(tmp_path):
    sysusers, tmpfiles = program("systemd-sysusers"), program("systemd-tmpfiles")
    if os.geteuid():
        pytest.skip("needs root")
    (tmp_path / "etc").mkdir()
    done = run(sysusers, f"--root={tmp_path}", CONFIG / "sysusers.d" / "emtc-guard.conf")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^emtc:x:\d+:\d+:.*:/usr/sbin/nologin$", (tmp_path / "etc/passwd").read_text(), re.MULTILINE)
    credentials = tmp_path / "etc/emtc-guard/credentials"
    credentials.mkdir(parents=True)
    for name in ("client.key", "client.crt", "identity.toml"):
        (credentials / name).write_text("x")
        (credentials / name).chmod(0o644)
    done = run(tmpfiles, "--create", f"--root={tmp_path}", CONFIG / "tmpfiles.d" / "emtc-guard.conf")
    assert done.returncode == 0, done.stderr
    modes = {path.name: path.stat().st_mode & 0o777 for path in (credentials, *credentials.iterdir())}
    assert modes == {"credentials": 0o700, "client.key": 0o600, "client.crt": 0o644, "identity.toml": 0o600}


@pytest.mark.skipif(NFT is None, reason="nft is not installed (Debian package nftables)")
def test_the_agent_sends_to_dns_and_the_broker_only(tmp_path):
    need_namespaces()
    rules = tmp_path / "egress.nft"
    text = (CONFIG / "nftables" / "emtc-agent-egress.nft").read_text()
    assert "define AGENT = emtc\n" in text
    rules.write_text(text.replace("define AGENT = emtc\n", "define AGENT = 0\n"))
    checked = run("unshare", "-Urn", NFT, "-c", "-f", rules)
    if "Operation not supported" in checked.stderr or "cache initialization failed" in checked.stderr:
        pytest.skip(f"no nftables in this kernel: {checked.stderr.strip()[:100]}")
    assert checked.returncode == 0, checked.stderr
    done = run("unshare", "-Urn", sys.executable, "-c", SENDING, NFT, rules)
    assert done.returncode == 0, done.stderr
    answers = done.stdout.split()
    assert answers[:4] == ["sent", "EPERM", "EPERM", "EPERM"]
    assert answers[4:8] == ["sent", "sent", "EHOSTUNREACH", "EHOSTUNREACH"]
    assert answers[8] == "sent"
