"""Checks of a Neuron machine: cores, driver, runtime, logical cores, compile cache.

All facts are read from files and environment variables; no tools of AWS are run.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from dfmp2.backends.neuron import generation, read_system_file
from dfmp2.doctor.finding import Asked, Finding, absent, neuron_finding, why_unwritable, wrong

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
INSTALLED = (
    r"^Package: aws-neuronx-runtime-lib\n(?:.+\n)*?"
    r"Status: install ok installed\n(?:.+\n)*?Version: (.+)$"
)
"""Entry of dpkg's list of packages, which ends at an empty line; the group is the version."""
DEFAULT_CACHE = "/var/tmp/neuron-compile-cache"
CORES = {"trn1": 2, "inf2": 2, "trn2": 8, "trn3": 8}
"""Physical cores of one device."""


def device_files(root: Path = Path("/")) -> list[str]:
    """Names of the device files in /dev, one per Neuron device."""
    found = (path.name for path in (root / "dev").glob("neuron*"))
    return sorted(name for name in found if re.fullmatch(r"neuron\d+", name))


def _core_list(text: str) -> list[int] | None:
    """Core indices of a text such as ``0``, ``0-3`` or ``0,2-3``; None for other texts."""
    cores: list[int] = []
    for part in text.split(","):
        ends = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if not ends or (ends[2] and int(ends[2]) < int(ends[1])):
            return None
        cores += range(int(ends[1]), int(ends[2] or ends[1]) + 1)
    return cores


def check_cores(asked: Asked) -> Finding:
    """Neuron devices of this machine, and the cores that this process may use."""
    name = "NeuronCores"
    devices = device_files(asked.root)
    if not devices:
        return neuron_finding(name, absent(asked), "there is no /dev/neuron*", DRIVER)
    found = f"devices: {', '.join(devices)}"
    most = len(devices) * CORES.get(generation(asked.root) or "", 10**6)
    visible = os.environ.get("NEURON_RT_VISIBLE_CORES")
    number = os.environ.get("NEURON_RT_NUM_CORES")
    if visible is not None:
        setting, first = f"NEURON_RT_VISIBLE_CORES={visible}", 0
        cores = _core_list(visible)
        valid = cores is not None and max(cores) < most
    elif number is not None:
        setting, first = f"NEURON_RT_NUM_CORES={number}", 1
        valid = number.strip().isdigit() and int(number) <= most
    else:
        return neuron_finding(name, "ok", f"{found}; all cores visible")
    if valid:
        return neuron_finding(name, "ok", f"{found}; {setting}")
    return neuron_finding(
        name,
        wrong(asked),
        f"{found}; {setting} is not valid for {most} cores",
        f"unset {setting.partition('=')[0]}, or set it to {first}",
    )


def driver_version(root: Path = Path("/")) -> str | None:
    """Version of the loaded kernel module neuron; None if it is not loaded or has no version."""
    return read_system_file(root / "sys/module/neuron/version") or None


def check_driver(asked: Asked) -> Finding:
    """The kernel module neuron."""
    version = driver_version(asked.root)
    if version:
        return neuron_finding("driver", "ok", f"neuron {version}")
    if (asked.root / "sys/module/neuron").exists():
        return neuron_finding("driver", "info", "neuron is loaded; its version is unknown")
    status = wrong(asked) if device_files(asked.root) else absent(asked)
    return neuron_finding("driver", status, "the kernel module neuron is not loaded", DRIVER)


def check_runtime(asked: Asked) -> Finding:
    """The library of the Neuron runtime and the version of its system package."""
    library = asked.root / "opt/aws/neuron/lib/libnrt.so.1"
    packages = read_system_file(asked.root / "var/lib/dpkg/status") or ""
    installed = re.search(INSTALLED, packages, re.MULTILINE)
    if installed:
        return neuron_finding("runtime", "ok", f"aws-neuronx-runtime-lib {installed[1]}")
    if library.exists():
        return neuron_finding("runtime", "ok", f"{library}, version unknown")
    return neuron_finding(
        "runtime", absent(asked), "aws-neuronx-runtime-lib is not installed", RUNTIME
    )


def _flags() -> str:
    return os.environ.get("NEURON_CC_FLAGS", "")


def check_lnc(asked: Asked) -> Finding:
    """Size of a logical core in the settings of runtime and compiler; the kernels need size 1."""
    name, one = "LNC", "set NEURON_LOGICAL_NC_CONFIG=1 and NEURON_CC_FLAGS='--lnc=1'"
    runtime = os.environ.get("NEURON_LOGICAL_NC_CONFIG")
    flag = re.search(r"(?:^|\s)-{1,2}(?:lnc|logical-nc-config)[= ]\s*(\S+)", _flags())
    compiler = flag[1] if flag else None
    for value in (runtime, compiler):
        if value not in (None, "1", "2"):
            return neuron_finding(
                name, wrong(asked), f"logical core size {value!r} is not 1 or 2", one
            )
    chip = generation(asked.root)
    if chip is None and runtime is None and compiler is None:
        return neuron_finding(name, "info", "not set, and no Neuron instance recognised")
    default = "2" if chip in ("trn2", "trn3") else "1"
    sizes = (runtime or default, compiler or default)
    found = f"runtime {sizes[0]}, compiler {sizes[1]}"
    if sizes[0] != sizes[1]:
        return neuron_finding(name, wrong(asked), f"{found}: they disagree", one)
    if sizes[0] == "2":
        reason = (
            f"{chip} does not have" if chip in ("trn1", "inf2") else "the kernels do not support"
        )
        return neuron_finding(name, "warn", f"{found}: {reason} pairs of cores", one)
    return neuron_finding(name, "ok", found)


def check_compile_cache(asked: Asked) -> Finding:
    """The compiler's cache; without it every run compiles every program again."""
    name = "compile cache"
    try:
        words = shlex.split(_flags())
    except ValueError as error:
        return neuron_finding(
            name, wrong(asked), f"NEURON_CC_FLAGS cannot be read: {error}", "close the quotes in it"
        )
    folders = re.findall(r"^--cache_dir[=\n](.+)$", "\n".join(words), re.MULTILINE)
    places = [os.environ.get("NEURON_COMPILE_CACHE_URL"), *folders]
    named = list(dict.fromkeys(place for place in places if place))
    if len(named) > 1:
        return neuron_finding(
            name,
            "warn",
            f"two are set: {' and '.join(named)}",
            "set NEURON_COMPILE_CACHE_URL or --cache_dir, not both",
        )
    place = named[0] if named else DEFAULT_CACHE
    if "://" in place and not place.startswith("file://"):
        return neuron_finding(name, "info", f"{place} is remote and was not tried")
    reason = why_unwritable(Path(place.removeprefix("file://")))
    if reason:
        return neuron_finding(
            name,
            "warn",
            f"{place} is not writable ({reason})",
            "set NEURON_COMPILE_CACHE_URL to a folder of yours",
        )
    return neuron_finding(name, "ok", f"{place} is writable")
