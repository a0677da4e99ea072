"""A fake Neuron device that runs kernels in the bundled simulator. All other code is real."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dfmp2.backends import launching
from dfmp2.kernels import nki, registry
from tests.backends.fakes import FakeDevice, attach

INSTANCES = {"trn1": "trn1.2xlarge", "trn2": "trn2.48xlarge", "inf2": "inf2.xlarge"}


class PlayedDevice(FakeDevice):
    """Fake device. Launches raise `error` if it is given; results are multiplied by `scale`."""

    name = "played NeuronCore"

    def __init__(self, error: Exception | None = None, scale: float = 1.0) -> None:
        super().__init__()
        self._error, self._scale = error, scale

    def run(self, kernel: Any, operands: tuple[Any, ...]) -> Any:
        if self._error is not None:
            raise self._error
        result = super().run(kernel, operands)
        if isinstance(result, tuple):
            return tuple(x * self._scale for x in result)
        return result * self._scale


def play(monkeypatch: pytest.MonkeyPatch, device: PlayedDevice, version: str = "0.4.0") -> None:
    """Replace the checks for nki and for a device, so that dfmp2 uses `device`."""
    monkeypatch.setattr(nki, "HAS_NKI", True)
    monkeypatch.setattr(nki, "nki_version", version)
    monkeypatch.setattr(nki, "_why_not", None)
    monkeypatch.setattr(registry, "HAS_NKI", True)
    monkeypatch.setattr(registry, "nki_version", version)
    monkeypatch.setattr(launching, "note_compiled", lambda *_: None)
    attach(monkeypatch, device)


def without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the environment variables that Neuron and dfmp2 read."""
    for name in list(os.environ):
        if name.startswith(("NEURON_", "DFMP2_")):
            monkeypatch.delenv(name)


def distributions(site: Path, **versions: str) -> Path:
    """Write metadata of installed distributions to `site`; ``_`` in a name stands for ``-``."""
    for name, version in versions.items():
        info = site / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        title = name.replace("_", "-")
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {title}\nVersion: {version}\n"
        )
    return site


def files(root: Path, **contents: str | None) -> Path:
    """Write files below `root`; ``__`` in a keyword stands for a slash, None for a folder."""
    for name, text in contents.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            path.mkdir()
        else:
            path.write_text(text)
    return root


def instance(root: Path, generation: str, devices: int = 1) -> Path:
    """Write the files of a Neuron instance with its driver and runtime."""
    files(
        root,
        sys__class__dmi__id__product_name=INSTANCES[generation] + "\n",
        sys__module__neuron__version="2.25.4.0\n",
        var__lib__dpkg__status=(
            "Package: other\nStatus: install ok installed\nVersion: 1\n\n"
            "Package: aws-neuronx-runtime-lib\nStatus: install ok installed\nPriority: optional\n"
            "Version: 2.29.40.0\nDepends: libc6\n\n"
        ),
        **{f"dev__neuron{n}": "" for n in range(devices)},
    )
    return root
