"""A subscriber with a lasting session that comes back whenever the broker does: ``python ear.py FOLDER HOST TOP``.

Appends a line for each message to FOLDER/heard.txt: time, whether it was retained, topic, payload.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


def main(folder: str, host: str, top: str) -> None:
    own = Path(folder) / "made" / "operators" / "ear"
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.tls_set(str(own / "ca.crt"), str(own / "client.crt"), str(own / "client.key"))
    client.reconnect_delay_set(1, 1)
    lasting = Properties(PacketTypes.CONNECT)
    lasting.SessionExpiryInterval = 86_400
    with (Path(folder) / "heard.txt").open("ab", buffering=0) as heard:

        def received(_client, _userdata, message):
            octets = message.payload.replace(b"\n", b" ")
            heard.write(f"{time.time():.6f} {int(message.retain)} {message.topic} ".encode() + octets + b"\n")

        client.on_connect = lambda client, *_: client.subscribe(f"{top}/#", 1)
        client.on_message = received
        client.connect_async(host, 8883, keepalive=5, clean_start=False, properties=lasting)
        client.loop_forever(retry_first_connection=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
