"""The demonstration behind ``scripts/demo``: broker, subscriber and replay, three real processes."""

import subprocess
import sys
from pathlib import Path

from emtc_lab.broker import EmbeddedBroker

ROOT = Path(__file__).resolve().parents[1]
AGENT = Path(sys.executable).with_name("emtc-agent")
CAPTURE = ROOT / "lab" / "recordings" / "demo" / "capture.pcap.gz"


def main() -> int:
    with EmbeddedBroker() as broker:
        print(f"1. an MQTT broker listens on {broker.url}")
        watching = subprocess.Popen(
            [AGENT, "watch", "--mqtt", broker.url, "--until-stopped"], stderr=subprocess.PIPE, text=True
        )
        try:
            watching.stderr.readline()  # "watching ...": it is subscribed
            print("2. a subscriber watches: emtc-agent watch --mqtt", broker.url)
            print(
                f"3. replaying {CAPTURE.relative_to(ROOT)}; what follows is what the subscriber receives\n",
                flush=True,
            )
            replay = [AGENT, "replay", CAPTURE, "--mqtt", broker.url]
            done = subprocess.run(replay, capture_output=True, text=True, check=False)
            watching.wait(30)
        finally:
            watching.kill()
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return done.returncode
        print(f"\n4. what the replay itself says at its end\n\n{done.stdout}")
    print("Yours: .venv-demo/bin/emtc-agent replay CAPTURE.pcap")
    return 0


if __name__ == "__main__":
    sys.exit(main())
