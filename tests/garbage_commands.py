"""Publishes garbage commands and counts the answers: ``python garbage_commands.py FOLDER HOST TOP NUMBER``."""

from __future__ import annotations

import json
import random
import sys
import threading
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

VERBS = ("ping", "status", "learn", "ack", "suppress", "update", "x", "Z" * 100)
SOUND = (
    b'{"id": "01JDQ7W0000000000000000000", "verdict": "expected"}',
    b'{"seconds": 10, "trusted": true}',
    b'{"endpoint": "10.0.0.1", "hours": 1, "family": "flood"}',
    b'{"action": "status"}',
    b"{}",
)


def mutated(rng: random.Random) -> bytes:
    """A payload near a sound one, or far from any; never one that is carried out."""
    octets = bytearray(rng.choice(SOUND))
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(octets) + 1)
        choice = rng.randrange(4)
        if choice == 0:
            octets[at:at] = rng.randbytes(rng.randrange(1, 20))
        elif choice == 1:
            del octets[at : at + rng.randrange(1, 10)]
        elif choice == 2:
            octets[at:at] = rng.choice((b"[" * 500, b'"' * 3, b"\xff\xfe", b"1e999", b"\0", b'{"a":' * 300))
        else:
            octets *= rng.choice((1, 1, 2, 50))
    return bytes(octets[:20_000]) + b"~"  # the end that no JSON has


def main(folder: str, host: str, top: str, number: int) -> None:
    own = Path(folder) / "made" / "operators" / "mouth"
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.tls_set(str(own / "ca.crt"), str(own / "client.crt"), str(own / "client.key"))
    answers = {"errors": 0, "carried out": 0}
    arrived, room = threading.Condition(), threading.Semaphore(40)  # fewer than the agent takes at once

    def received(_client, _userdata, message):
        told = json.loads(message.payload)
        with arrived:
            answers["errors" if "error" in told else "carried out"] += 1
            arrived.notify()
        room.release()

    ready = threading.Event()
    client.on_message = received
    client.on_subscribe = lambda *_: ready.set()
    client.connect(host, 8883)
    client.loop_start()
    client.subscribe(f"{top}/reply/#", 1)
    assert ready.wait(20)
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = f"{top}/reply/mouth"
    rng = random.Random(number)
    for _ in range(number):
        assert room.acquire(timeout=30), answers
        client.publish(f"{top}/cmd/{rng.choice(VERBS)}", mutated(rng), qos=1, properties=properties)
    with arrived:
        assert arrived.wait_for(lambda: sum(answers.values()) >= number, 60), answers
    assert answers["errors"] == number, answers
    print(json.dumps(answers))
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]))
