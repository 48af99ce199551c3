"""Options of commands that can score with an overlay."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from emtc_agent.commands.options import add_options
from emtc_agent.detector import Bundle
from emtc_agent.detector.calibration import Recalibration
from emtc_agent.learning.device_key import DeviceKey
from emtc_agent.learning.overlay import load_overlay
from emtc_contract.bundle import Artifact


@dataclass(frozen=True, slots=True)
class OverlayChoice:
    """Which overlay, if any.

    Attributes:
        file: The overlay; None for the bundle's own calibration.
        key: The device's key; None takes ``device.key`` beside the overlay.
    """

    file: Path | None = None
    key: Path | None = None

    def load(self, bundle: Bundle, artifact: Artifact) -> Recalibration | None:
        """What was learned, if it may be used with this model; raises BundleError otherwise."""
        if self.file is None:
            return None
        key = DeviceKey(self.key or beside(self.file))
        return load_overlay(self.file, key, bundle, artifact).recalibration(bundle.schema.columns)


def beside(overlay: Path) -> Path:
    """Where the device key is if nothing else is said."""
    return overlay.with_name("device.key")


def overlay_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that make the ``overlay`` argument of a command, an ``OverlayChoice``."""

    @functools.wraps(command)
    def with_overlay(*, overlay_file: Path | None, overlay_key: Path | None, **others: Any) -> Any:
        return command(overlay=OverlayChoice(overlay_file, overlay_key), **others)

    file = click.Path(dir_okay=False, path_type=Path)
    return add_options(
        with_overlay,
        click.option("--overlay", "overlay_file", type=file, help="What `emtc-agent learn` made of this site."),
        click.option("--overlay-key", type=file, help="Key that signed it. Default: device.key beside the overlay."),
    )
