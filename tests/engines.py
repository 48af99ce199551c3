"""A gateway's engine on packets and windows made by hand, for tests of the daemon's parts."""

from __future__ import annotations

import numpy as np

import frames
from emtc_agent.daemon.engine import Engine, EngineConfig, ModelInUse
from emtc_agent.detector import load_bundle, open_runtime
from emtc_agent.detector.calibration import p_values
from emtc_agent.incidents import IncidentConfig
from emtc_agent.incidents.suppression import Suppression
from emtc_agent.learning import LearnFiles
from emtc_agent.packets import GUARD_BYTES, PacketBatch
from site_windows import SECOND, SHIPPED, START_US, benign_errors, scored_of, windows_of

QUIET_S = 600.0


def model_in(path=SHIPPED) -> ModelInUse:
    """A bundle's model, opened."""
    bundle = load_bundle(path)
    return ModelInUse(path, bundle, open_runtime(bundle))


def scan(device: int, ts_us: int, part: int = 0) -> PacketBatch:
    """A device knocks at 32 ports of a remote."""
    knocks = [frames.tcp(flags=2, dport=part * 1_000 + port * 7) for port in range(32)]
    own, mac = f"10.1.0.{device}", 0x02_00_00_01_00_00 + device
    packets = [frames.ether(frames.ipv4(one, src=own, dst="203.0.113.9"), src=mac) for one in knocks]
    size = np.array([len(one) for one in packets], np.int64)
    return PacketBatch(
        data=np.frombuffer(b"".join(packets) + bytes(GUARD_BYTES), np.uint8),
        start=np.cumsum(size) - size,
        cap_len=size,
        wire_len=size,
        ts_us=np.full(len(size), ts_us),
        linktype=np.ones(len(size), np.uint16),
    )


class Site:
    """An engine, and time that the test lets pass.

    Attributes:
        engine: The engine.
        now_us: Steady time.
    """

    def __init__(self, folder=None, model=None, **config) -> None:
        self.suppression = Suppression()
        files = LearnFiles.inside(folder) if folder else None
        rules = EngineConfig(incidents=IncidentConfig(close_after_s=QUIET_S), **config)
        self.engine = Engine(model or model_in(), rules, "b1", self.suppression, files, ("eth0",))
        self.now_us = START_US
        self.rng = np.random.default_rng(1)

    def scans(self, device: int, parts: int = 6) -> list:
        """A device scans; returns the alerts."""
        alerts = []
        for part in range(parts):
            alerts += self.engine.push(scan(device, self.now_us, part))
            alerts += self.passes(0.1)
        return alerts

    def passes(self, seconds: float, shift_us: int = 0) -> list:
        """Time passes without packets; returns the alerts."""
        self.now_us += int(seconds * SECOND)
        return self.engine.tick(self.now_us, shift_us)

    def benign(self, seconds: int, louder=None, p_value=None) -> None:
        """Ten devices with ten benign windows in ten seconds each, as the model would score them."""
        artifact = self.engine.model.runtime.artifact
        table = artifact.calibration_scores, artifact.calibration_p
        for _ in range(0, seconds, 10):
            last_us = self.now_us + np.repeat(np.arange(10), 10) * SECOND
            errors = benign_errors(self.rng, 100, louder)
            score = (0.5 * errors.sum(1) + self.rng.gamma(3, 2, 100)).astype(np.float32)
            told = p_values(score.astype(float), table) if p_value is None else np.full(100, p_value)
            windows = windows_of(last_us, np.tile(np.arange(10), 10))
            for observer in self.engine.pipeline.observers:
                observer(windows, scored_of(told, errors, score), 0.001)
            self.passes(10)
