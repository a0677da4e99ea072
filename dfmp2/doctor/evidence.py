"""Evidence files: what ran, where by provenance, and what may be said of its time.

A time belongs to Trainium only where every operation of it ran on a Neuron device, by its own
provenance. `claim` is that rule; everything that reports a timing passes through it.
"""

from __future__ import annotations

import datetime
import json
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import dfmp2
from dfmp2.backends.neuron import hardware_generation, instance_type
from dfmp2.doctor.finding import version_of
from dfmp2.doctor.machine import driver_version
from dfmp2.errors import BackendUnavailable
from dfmp2.results.provenance import Provenance

__all__ = ["Item", "claim", "machine", "mode_of", "on_device", "timing_text", "write"]

WORD = re.compile("trainium", re.IGNORECASE)
PACKAGES = ("nki", "neuronx-cc", "libneuronxla", "torch-neuronx", "torch", "numpy", "pyscf")


def mode_of(provenance: Provenance) -> str:
    """Modes of the operations that were completed, such as "device" or "cpu+device"."""
    modes = {row.where.mode for row in provenance.operations if row.calls > 0}
    return "+".join(sorted(modes)) or "nothing ran"


def on_device(provenance: Provenance) -> bool:
    """Whether every operation completed on a Neuron device, and none failed."""
    return mode_of(provenance) == "device" and not provenance.failures


def claim(text: str, provenance: Provenance) -> str:
    """Return `text`, unless it speaks of Trainium and the provenance does not.

    Raises
    ------
    BackendUnavailable
        If the text has the word, in whatever case, and the work was not all a Neuron device's.
    """
    if WORD.search(text) and not on_device(provenance):
        raise BackendUnavailable(
            f"refused to report as Trainium's what ran elsewhere ({mode_of(provenance)}: "
            f"{provenance.device_line()})"
        )
    return text


def timing_text(what: str, seconds: float, provenance: Provenance) -> str:
    """One line about a time, with the place taken from the provenance.

    What a simulator took is no time of any device, so no figure is given.
    """
    where = provenance.device_line()
    if "simulator" in mode_of(provenance).split("+"):
        return claim(f"{what}: ran in {where}; not timed", provenance)
    name = "Trainium, " if on_device(provenance) else ""
    return claim(f"{what}: {seconds:.6g} s on {name}{where}", provenance)


@dataclass(frozen=True)
class Item:
    """One thing that was done.

    Attributes
    ----------
    what : str
    provenance : Provenance
    passed : bool
        Whether its result agreed with a reference.
    seconds : dict of str to float
        Wall times by name.
    facts : dict
        Further plain data: sizes, errors, energies.
    """

    what: str
    provenance: Provenance
    passed: bool
    seconds: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def machine(root: Path = Path("/")) -> dict[str, Any]:
    """Date, instance type, generation and versions, as the machine itself tells them."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "date": now.replace(microsecond=0).isoformat(),
        "instance_type": instance_type(root),
        "generation": hardware_generation(root),
        "driver": driver_version(root),
        "versions": {
            "dfmp2": dfmp2.__version__,
            "python": platform.python_version(),
            **{name: version_of(name) for name in PACKAGES},
        },
    }


def _entry(item: Item) -> dict[str, Any]:
    """What was done, by whom. The rows' own times are left out: a launch returns before its end."""
    rows = [asdict(row) for row in item.provenance.operations]
    entry = {
        "what": item.what,
        "mode": mode_of(item.provenance),
        "passed": item.passed,
        **item.facts,
        "operations": [{k: v for k, v in row.items() if k != "seconds"} for row in rows],
        "failures": [asdict(failure) for failure in item.provenance.failures],
    }
    claim(json.dumps(entry), item.provenance)
    return entry


def _timings(item: Item) -> list[dict[str, Any]]:
    mode = mode_of(item.provenance)
    if "device" not in mode.split("+"):
        return []
    return [
        {
            "what": item.what,
            "which": which,
            "seconds": seconds,
            "mode": mode,
            "text": timing_text(f"{item.what}, {which}", seconds, item.provenance),
        }
        for which, seconds in item.seconds.items()
    ]


def write(path: Path, script: str, items: Sequence[Item], root: Path = Path("/")) -> dict[str, Any]:
    """Write an evidence file and return its content.

    Times are kept only of work in which a Neuron device took part; each carries the mode of its
    own provenance, and only those of mode "device" are called Trainium's.

    Raises
    ------
    BackendUnavailable
        If anything in it would claim what the provenance does not show; no file is written.
    """
    everything = Provenance(
        operations=[row for item in items for row in item.provenance.operations],
        failures=[failure for item in items for failure in item.provenance.failures],
    )
    head = {
        "script": script,
        "mode": mode_of(everything),
        "passed": bool(items) and all(item.passed for item in items),
        **machine(root),
    }
    claim(json.dumps(head), everything)
    content = {
        **head,
        "ran": [_entry(item) for item in items],
        "timings": [timing for item in items for timing in _timings(item)],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return content
