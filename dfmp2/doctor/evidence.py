"""Evidence files: what ran, on which device by its provenance, and timings.

A timing may be called a Trainium timing only if every operation ran on a Neuron device according
to its provenance. `claim` checks this rule for every text about a timing.
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
    """Modes of the completed operations, such as "device" or "cpu+device"."""
    modes = {row.where.mode for row in provenance.operations if row.calls > 0}
    return "+".join(sorted(modes)) or "nothing ran"


def on_device(provenance: Provenance) -> bool:
    """Whether every operation was completed on a Neuron device and none failed."""
    return mode_of(provenance) == "device" and not provenance.failures


def claim(text: str, provenance: Provenance) -> str:
    """Return `text` if it may be published for work with this provenance.

    Raises
    ------
    BackendUnavailable
        If the text contains "Trainium" in any case, but not all operations ran on a Neuron device.
    """
    if WORD.search(text) and not on_device(provenance):
        raise BackendUnavailable(
            "not reported as a Trainium result, because not everything ran on a Neuron device "
            f"({mode_of(provenance)}: {provenance.device_line()}); leave out the word, or run "
            "everything on a device"
        )
    return text


def timing_text(what: str, seconds: float, provenance: Provenance) -> str:
    """One line about a time and the device, which is taken from the provenance.

    For a simulator no time is given, because it says nothing about a device.
    """
    where = provenance.device_line()
    if "simulator" in mode_of(provenance).split("+"):
        return claim(f"{what}: ran in {where}; not timed", provenance)
    name = "Trainium, " if on_device(provenance) else ""
    return claim(f"{what}: {seconds:.6g} s on {name}{where}", provenance)


@dataclass(frozen=True)
class Item:
    """One calculation or check that was done.

    Attributes
    ----------
    what : str
    provenance : Provenance
    passed : bool
        Whether the result agreed with a reference.
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
    """Date, instance type, generation and versions, read from the machine."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
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
    """One item as plain data, without times: a launch may return before it is finished."""
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

    Only times of items that ran at least in part on a Neuron device are written. Each is labelled
    with the mode of its provenance; only those of mode "device" are called Trainium timings.

    Parameters
    ----------
    path : Path
        Its folder is made if it does not exist.
    script : str
        Name of the script that did the work.
    items : sequence of Item
    root : Path
        Folder that holds the machine's files; another one in tests.

    Raises
    ------
    BackendUnavailable
        If a text names Trainium against the provenance; then no file is written.
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
