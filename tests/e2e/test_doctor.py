"""The doctor as an installer runs it: settings in, findings and an exit code out."""

import json
import re
import subprocess

import pytest

import brokers
from certificates import Authority, needs_openssl
from emtc_agent.detector import RUNTIMES
from namespaces import need_namespaces
from programs import BIN, run

needs_mosquitto = pytest.mark.skipif(brokers.MOSQUITTO is None, reason="mosquitto is not installed")
WITHOUT_NET_RAW = ("setpriv", "--bounding-set=-net_raw")


def settings(folder, **sections):
    """A settings file; values are written as JSON, which TOML reads."""
    lines = ["version = 1"]
    for name, values in sections.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    path = folder / "gateway.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def doctor(*arguments):
    """Exit code, level, and findings by name."""
    done = run("emtc-agent", "doctor", "--json", *arguments)
    assert done.stderr == b""
    report = json.loads(done.stdout)
    for one in report["findings"]:
        assert one.keys() == {"name", "level", "what", "fix"}
        assert one["level"] in ("ok", "warning", "problem")
        assert re.fullmatch(r"[A-Z].*\.", one["fix"]), one
    return done.returncode, report["level"], {one["name"]: one for one in report["findings"]}


@needs_openssl
@needs_mosquitto
def test_a_gateway_where_everything_works(tmp_path):
    authority = Authority(tmp_path / "ca")
    server, own = authority.server(), authority.client("/CN=gw-1")
    state = tmp_path / "state"
    state.mkdir()
    files = [f"cafile {authority.certificate}", f"certfile {server.certificate}", f"keyfile {server.key}"]
    with brokers.mosquitto(tmp_path, *files, "require_certificate true") as url:
        config = settings(
            tmp_path,
            capture={"interfaces": ["lo"]},
            broker={
                "url": url.replace("mqtt:", "mqtts:"),
                "ca_file": "ca/ca.crt",
                "certificate": f"ca/{own.certificate.name}",
                "private_key": str(own.key),
            },
            state={"folder": str(state)},
            health={"metrics_file": str(tmp_path / "emtc.prom")},
        )
        code, level, found = doctor("--config", config)
    without_privileges = {"capabilities", "ring lo"}  # where the tests may not capture
    problems = {name for name, one in found.items() if one["level"] == "problem"}
    assert problems <= without_privileges
    assert (code, level == "problem") == ((2, True) if problems else (0, False))
    for name in (
        "configuration",
        "bundle",
        "runtime",
        "own certificate",
        "broker TLS",
        "broker login",
        "state database",
    ):
        assert found[name]["level"] in ("ok", "warning"), found[name]
    assert list(state.iterdir()) == []


def test_everything_that_is_wrong_is_told_at_once(tmp_path):
    (tmp_path / "damaged.bundle").write_bytes(b"PK" + bytes(100))
    config = settings(
        tmp_path,
        capture={"interfaces": ["nope0"]},
        model={"bundle": "damaged.bundle"},
        broker={"url": f"mqtt://127.0.0.1:{brokers.free_port()}"},
        state={"folder": str(tmp_path / "nothing")},
    )
    code, level, found = doctor("--config", config)
    assert (code, level) == (2, "problem")
    problems = {name for name, one in found.items() if one["level"] == "problem"}
    assert problems >= {"interface nope0", "bundle", "state folder", "broker connection"}


def test_settings_that_are_not_valid_leave_the_rest_unchecked_and_say_so(tmp_path):
    config = settings(tmp_path, capture={"interface": ["eth0"]})
    code, _, found = doctor("--config", config)
    assert code == 2
    assert "gateway.toml:3: " in found["configuration"]["what"]
    assert found["everything else"]["what"].startswith("not checked")
    assert "clock" in found


def test_without_settings_the_machine_is_looked_at():
    code, _, found = doctor()
    assert code == 2  # there is nothing to watch
    assert {"configuration", "interfaces", "capabilities", "clock", "bundle", "runtime"} <= found.keys()
    if any(kind.installed for kind in RUNTIMES):
        assert found["runtime"]["level"] == "ok"


@pytest.mark.namespaces
def test_without_the_right_to_capture(tmp_path):
    need_namespaces()
    config = settings(tmp_path, capture={"interfaces": ["lo"]})
    command = ["unshare", "-Urn", *WITHOUT_NET_RAW, BIN / "emtc-agent", "doctor", "--json", "--config", config]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    found = {one["name"]: one for one in json.loads(done.stdout)["findings"]}
    assert done.returncode == 2
    assert "AmbientCapabilities" in found["capabilities"]["fix"]
    assert "CAP_NET_RAW" in found["ring lo"]["what"]
    assert found["interface lo"]["what"] == "is down"


def test_for_people_it_is_a_table_with_what_to_do(tmp_path):
    config = settings(tmp_path, state={"folder": "[red]nothing"})
    done = run("emtc-agent", "doctor", "--config", config, env={"COLUMNS": "200", "PATH": "/usr/bin:/bin"})
    told = done.stdout.decode()
    assert (done.returncode, done.stderr) == (2, b"")
    assert re.search(r"problem +state folder +\S+/\[red\]nothing is not a folder", told)
    assert "-> Create it for the agent's user" in told
    assert re.search(r"\d+ problem\(s\), \d+ warning\(s\)", told)
    assert "\x1b" not in told
