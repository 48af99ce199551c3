"""What is behind ``scripts/test-aarch64``: a minimal arm64 root, the agent's wheel in it, and qemu to run it."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
CAPTURE = ROOT / "lab" / "recordings" / "demo" / "capture.pcap.gz"
WAYS = (("litert", "int8"), ("onnxruntime", "fp32"), ("litert", "fp32"))
PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64")
LIMIT_S = 600


def main(suite: str) -> int:
    reason = missing()
    if reason:
        print(f"scripts/test-aarch64: skipped: {reason}")
        return 0
    system = ROOT / ".venv-aarch64" / suite
    if not system.exists():
        print(f"unpacking a minimal arm64 {suite}", flush=True)
        packages = fetch(suite, system)
        if not packages:
            print(f"scripts/test-aarch64: skipped: no arm64 packages of {suite} from this machine's Debian mirror")
            return 0
        make_system(packages, system)
    print("installing the agent's wheel and its aarch64 libraries", flush=True)
    install_agent(system)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        equal = list(pool.map(lambda way: same(system, *way), WAYS))
    return 0 if all(equal) else 1


def missing() -> str:
    """Why it cannot be done here; empty if it can."""
    for tool in ("qemu-aarch64-static", "debootstrap", "dpkg-deb", "unshare"):
        if not shutil.which(tool):
            return f"no {tool}"
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode:
        return "no user namespaces"
    return ""


def fetch(suite: str, system: Path) -> list[Path]:
    """Debian packages of a minimal system, from the mirror this machine uses; none if it has no such suite."""
    folder = system.with_suffix(".packages")
    shutil.rmtree(folder, ignore_errors=True)
    sites = run("apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages").split()
    site = next((site for site in sites if "security" not in site), "")
    options = ["--download-only", "--arch=arm64", "--variant=minbase", "--include=python3"]
    subprocess.run(["debootstrap", *options, suite, folder, site], capture_output=True, check=False)
    return sorted(folder.glob("var/cache/apt/archives/*.deb"))


def make_system(packages: list[Path], system: Path) -> None:
    """Packages unpacked and never configured, which takes 20 minutes under emulation."""
    part = system.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    for name in ("bin", "lib", "sbin"):
        (part / "usr" / name).mkdir(parents=True)
        (part / name).symlink_to(f"usr/{name}")
    for package in packages:
        run("dpkg-deb", "-x", package, part)
    shutil.copy(shutil.which("qemu-aarch64-static"), part / "qemu")
    (part / "dev" / "null").touch()
    shutil.rmtree(system.with_suffix(".packages"))
    part.rename(system)


def install_agent(system: Path) -> None:
    """Libraries once; our own wheel as it is now."""
    (python,) = (system / "usr" / "lib").glob("python3.[0-9]*")
    wheels, target = system / "wheels", system / "agent"
    shutil.rmtree(wheels, ignore_errors=True)
    run(BIN / "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, ROOT)
    (wheel,) = wheels.glob("*.whl")
    options = [
        "--target",
        target,
        "--upgrade",
        "--only-binary=:all:",
        "--python-version",
        python.name[len("python") :],
    ]
    options += [f"--platform={platform}" for platform in PLATFORMS]
    run(
        BIN / "pip",
        "install",
        "--quiet",
        *options,
        *(["--no-deps"] if target.exists() else []),
        f"{wheel}[agent,litert]",
    )
    shutil.copy(CAPTURE, system / "capture.pcap.gz")


def same(system: Path, runtime: str, precision: str) -> bool:
    """Whether both machines tell the same incidents; prints the outcome."""
    replay = ["replay", "--json", "--runtime", runtime, "--precision", precision]
    emulated = [
        "unshare",
        "-rn",
        "--root",
        system,
        "/qemu",
        "-E",
        "PYTHONPATH=/agent",
        "/usr/bin/python3",
        "/agent/bin/emtc-agent",
    ]
    there = incidents(run(*emulated, *replay, "/capture.pcap.gz"))
    here = incidents(run(BIN / "emtc-agent", *replay, CAPTURE))
    equal = there == here and len(here) > 0
    print(f"{runtime} {precision}: {len(there)} alerts, {'as' if equal else 'NOT as'} on this machine", flush=True)
    for one, other in zip(there, here, strict=False):
        if one != other:
            print(f"  there {one}\n  here  {other}")
    return equal


def incidents(lines: str) -> list[dict]:
    """Alerts without what differs from run to run."""
    told = [json.loads(line) for line in lines.splitlines()]
    return [
        {name: alert[name] for name in ("ts", "state", "endpoint", "family", "severity_id", "text")}
        for alert in told
        if "summary" not in alert
    ]


def run(*command) -> str:
    """Output of a command; its complaint and the end of this script if it fails."""
    words = ["timeout", "-s", "KILL", str(LIMIT_S), *map(str, command)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(
            f"{' '.join(words[4:8])} ... ended with {done.returncode}:\n{done.stderr[-2000:]}{done.stdout[-500:]}"
        )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
