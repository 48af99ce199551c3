"""The staff's workstation: SSH and telnet sessions typed by hand (with typos), web pages, a monitoring scanner.

Most of it is a benign look-alike of an attack.
"""

import asyncio
import socket

import asyncssh

from emtc_lab.devices.base import Device
from emtc_lab.devices.habits import Habit
from emtc_lab.services.login import PASSWORD, USER
from emtc_lab.site import host_name

_COMMANDS = ("uptime", "ps", "df -h", "tail /var/log/messages", "ifconfig", "cat /etc/config/network")


class Workstation(Device):
    """A person and a monitoring job."""

    kind = "workstation"
    habits = (
        Habit("ssh_session", 150, 0.7),
        Habit("telnet_session", 240, 0.7),
        Habit("browse", 40, 0.8),
        Habit("monitor", 90, 0.1),
        Habit("inventory", 900, 0.3),
    )

    def ssh_session(self) -> None:
        """Log in, run some commands; one time in three the password is mistyped first."""
        if boxes := self.peers("linux-box"):
            tries = ["pasword", "hunter3", PASSWORD] if self.rng.random() < 0.3 else [PASSWORD]
            commands = [self.rng.choice(_COMMANDS) for _ in range(self.rng.randint(2, 7))]
            asyncio.run(_ssh(self.rng.choice(boxes), tries, commands, self.rng.uniform(0.5, 3)))

    def telnet_session(self) -> None:
        """Key by key, as people type."""
        if consoles := self.peers("legacy-console"):
            with socket.create_connection((self.rng.choice(consoles), 23), timeout=5) as connection:
                for line in (USER, PASSWORD, *(self.rng.choice(_COMMANDS) for _ in range(3)), "exit"):
                    connection.recv(512)
                    for letter in line:
                        connection.sendall(letter.encode())
                        self.pause(self.rng.uniform(0.05, 0.25))
                    connection.sendall(b"\r\n")

    def browse(self) -> None:
        """A page or three of the cloud's portal."""
        pages = [f"https://{host_name('api')}/page{self.rng.randrange(20)}" for _ in range(self.rng.randint(1, 3))]
        self.curl(*pages)

    def monitor(self) -> None:
        """Are the services of the devices up? A ping and the ports that should be open."""
        for peer in self.peers("smart-plug", "legacy-console", "linux-box", "modbus-meter")[:8]:
            self.program("nmap", "-n", "-Pn", "-sT", "-p", "22,80,502", "--max-retries", "1", peer)

    def inventory(self) -> None:
        """Who is on the LAN? A slow sweep of a part of it."""
        first = self.rng.randrange(1, 230)
        prefix = self.spec.ip.rpartition(".")[0]
        self.program("nmap", "-n", "-sn", "--max-rate", "10", f"{prefix}.{first}-{first + 20}")


async def _ssh(box: str, tries: list[str], commands: list[str], pause_s: float) -> None:
    for password in tries:
        try:
            async with asyncssh.connect(
                box, username=USER, password=password, known_hosts=None, client_keys=None, login_timeout=20
            ) as connection:
                for command in commands:
                    await connection.run(command)
                    await asyncio.sleep(pause_s)
        except asyncssh.Error:
            await asyncio.sleep(pause_s)
