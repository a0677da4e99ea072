"""Checks of a Neuron machine: cores, driver, runtime, logical cores, compile cache.

Everything is read from files and the environment; no tool of AWS's is needed or run.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from dfmp2.backends.neuron import generation, read_system_file
from dfmp2.doctor.finding import NKI, Asked, Finding, absent, why_unwritable, wrong

__all__ = [
    "check_compile_cache",
    "check_cores",
    "check_driver",
    "check_lnc",
    "check_runtime",
    "device_files",
    "driver_version",
]

DRIVER = "install the driver (aws-neuronx-dkms) and reboot, on a trn1 or trn2 instance"
RUNTIME = "install aws-neuronx-runtime-lib"
DEFAULT_CACHE = "/var/tmp/neuron-compile-cache"
CORES = {"trn1": 2, "inf2": 2, "trn2": 8, "trn3": 8}
"""Physical cores of one device."""


def device_files(root: Path = Path("/")) -> list[str]:
    """Names of the device files, one per Neuron device."""
    found = (path.name for path in (root / "dev").glob("neuron*"))
    return sorted(name for name in found if re.fullmatch(r"neuron\d+", name))


def _core_list(text: str) -> list[int] | None:
    """Indices in ``0``, ``0-3`` or ``0,2-3``; None for anything else."""
    cores: list[int] = []
    for part in text.split(","):
        ends = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if not ends or (ends[2] and int(ends[2]) < int(ends[1])):
            return None
        cores += range(int(ends[1]), int(ends[2] or ends[1]) + 1)
    return cores


def check_cores(asked: Asked) -> Finding:
    """Devices that the driver shows, and the cores of them that this process may use."""
    name = "NeuronCores"
    devices = device_files(asked.root)
    if not devices:
        return Finding(name, absent(asked), "there is no /dev/neuron*", DRIVER, NKI)
    found = f"devices: {', '.join(devices)}"
    visible, number = (
        os.environ.get(f"NEURON_RT_{which}") for which in ("VISIBLE_CORES", "NUM_CORES")
    )
    most = len(devices) * CORES.get(generation(asked.root) or "", 10**6)
    if visible is not None:
        cores = _core_list(visible)
        setting = f"NEURON_RT_VISIBLE_CORES={visible}"
        if cores is None or max(cores) >= most:
            why = "is no list of cores" if cores is None else f"exceeds the {most} cores here"
            return Finding(name, wrong(asked), f"{found}; {setting} {why}",
                           "unset NEURON_RT_VISIBLE_CORES, or set it to 0", NKI)  # fmt: skip
        return Finding(name, "ok", f"{found}; {setting}", backends=NKI)
    if number is not None:
        if not number.strip().isdigit() or int(number) > most:
            return Finding(name, wrong(asked), f"{found}; NEURON_RT_NUM_CORES={number} cannot be "
                           "had", "unset NEURON_RT_NUM_CORES, or set it to 1", NKI)  # fmt: skip
        return Finding(name, "ok", f"{found}; NEURON_RT_NUM_CORES={number}", backends=NKI)
    return Finding(name, "ok", f"{found}; all cores visible", backends=NKI)


def driver_version(root: Path = Path("/")) -> str | None:
    """Version of the kernel module that is loaded; None where it is not, or tells none."""
    return read_system_file(root / "sys/module/neuron/version") or None


def check_driver(asked: Asked) -> Finding:
    """The kernel module."""
    version = driver_version(asked.root)
    if version:
        return Finding("driver", "ok", f"neuron {version}", backends=NKI)
    if (asked.root / "sys/module/neuron").exists():
        return Finding("driver", "info", "neuron is loaded and tells no version", backends=NKI)
    status = wrong(asked) if device_files(asked.root) else absent(asked)
    return Finding("driver", status, "the kernel module neuron is not loaded", DRIVER, NKI)


def check_runtime(asked: Asked) -> Finding:
    """The runtime's library and the version of its system package."""
    library = asked.root / "opt/aws/neuron/lib/libnrt.so.1"
    for entry in (read_system_file(asked.root / "var/lib/dpkg/status") or "").split("\n\n"):
        package = re.search(r"^Version: (.+)$", entry, re.MULTILINE)
        if not entry.startswith("Package: aws-neuronx-runtime-lib\n") or package is None:
            continue
        if "\nStatus: install ok installed" not in entry:
            continue
        return Finding("runtime", "ok", f"aws-neuronx-runtime-lib {package[1]}", backends=NKI)
    if library.exists():
        return Finding("runtime", "ok", f"{library}, version not known", backends=NKI)
    return Finding("runtime", absent(asked), "aws-neuronx-runtime-lib is not installed", RUNTIME,
                   NKI)  # fmt: skip


def _flags() -> str:
    return os.environ.get("NEURON_CC_FLAGS", "")


def check_lnc(asked: Asked) -> Finding:
    """Logical cores: the runtime's setting, the compiler's, and the kernels, which use one core."""
    name, one = "LNC", "set NEURON_LOGICAL_NC_CONFIG=1 and NEURON_CC_FLAGS='--lnc=1'"
    runtime = os.environ.get("NEURON_LOGICAL_NC_CONFIG")
    flag = re.search(r"(?:^|\s)-{1,2}(?:lnc|logical-nc-config)[= ]\s*(\S+)", _flags())
    compiler = flag[1] if flag else None
    for value in (runtime, compiler):
        if value not in (None, "1", "2"):
            return Finding(name, wrong(asked), f"logical core size {value!r} is not 1 or 2", one,
                           NKI)  # fmt: skip
    chip = generation(asked.root)
    if chip is None and runtime is None and compiler is None:
        return Finding(name, "info", "not set, and no Neuron instance recognised", backends=NKI)
    default = "2" if chip in ("trn2", "trn3") else "1"
    sizes = (runtime or default, compiler or default)
    found = f"runtime {sizes[0]}, compiler {sizes[1]}"
    if sizes[0] != sizes[1]:
        return Finding(name, wrong(asked), f"{found}: they disagree", one, NKI)
    if sizes[0] == "2":
        reason = "has none" if chip in ("trn1", "inf2") else "and the kernels are for one core"
        return Finding(name, "warn", f"{found}: pairs of cores, {chip or 'this machine'} {reason}",
                       one, NKI)  # fmt: skip
    return Finding(name, "ok", found, backends=NKI)


def check_compile_cache(asked: Asked) -> Finding:
    """The compiler's cache: without it every run compiles every program again."""
    name = "compile cache"
    places = [os.environ.get("NEURON_COMPILE_CACHE_URL")]
    try:
        words = shlex.split(_flags())
    except ValueError as error:
        return Finding(name, wrong(asked), f"NEURON_CC_FLAGS cannot be read: {error}",
                       "close its quotes", NKI)  # fmt: skip
    for n, word in enumerate(words):
        if word.startswith("--cache_dir="):
            places.append(word.partition("=")[2])
        elif word == "--cache_dir":
            places += words[n + 1 : n + 2]
    named = list(dict.fromkeys(place for place in places if place))
    if len(named) > 1:
        return Finding(name, "warn", f"two are set: {' and '.join(named)}",
                       "set NEURON_COMPILE_CACHE_URL or --cache_dir, not both", NKI)  # fmt: skip
    place = named[0] if named else DEFAULT_CACHE
    if "://" in place and not place.startswith("file://"):
        return Finding(name, "info", f"{place} is remote and was not tried", backends=NKI)
    reason = why_unwritable(Path(place.removeprefix("file://")))
    if reason:
        return Finding(name, "warn", f"{place} is not writable ({reason})",
                       "set NEURON_COMPILE_CACHE_URL to a folder of yours", NKI)  # fmt: skip
    return Finding(name, "ok", f"{place} is writable", backends=NKI)
