"""Checks of the software that a Neuron device needs: packages, PATH, plugin, compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from packaging.version import Version

from dfmp2.doctor.finding import NKI, Asked, Finding, absent, version_of, wrong
from dfmp2.doctor.machine import generation

__all__ = [
    "check_compiler",
    "check_generation",
    "check_nki",
    "check_path",
    "check_plugin_import",
    "check_plugin_path",
    "check_torch_neuronx",
]

INSTALL = (
    "install 'nki>=0.3.0' 'torch-neuronx>=2.9' from AWS's Neuron package index, which its setup "
    "guide names"
)
PLUGIN = "libneuronpjrt-path"
PLUGIN_SECONDS = 60
IMPORT_SECONDS = 300


def check_nki(asked: Asked) -> Finding:
    """The package nki: AWS's, not the public registry's placeholder (0.0.1)."""
    from dfmp2.kernels.nki import nki_version, why_not

    reason = why_not()
    if reason is None:
        return Finding("nki", "ok", f"AWS's package, version {nki_version}", backends=NKI)
    status = absent(asked) if version_of("nki") is None else wrong(asked)
    return Finding("nki", status, reason, INSTALL, NKI)


def check_torch_neuronx(asked: Asked) -> Finding:
    """The package torch-neuronx: AWS's, not the public registry's placeholder (1.0)."""
    version = version_of("torch-neuronx")
    if version is None:
        if _native_torch():
            return Finding("torch-neuronx", "ok", "not needed: torch has neuron built in", "", NKI)
        return Finding("torch-neuronx", absent(asked), "the package is not installed", INSTALL, NKI)
    if Version(version).release[:2] == (1, 0):
        found = f"{version} is the public registry's placeholder, not AWS's package"
    elif Version(version) < Version("2.9"):
        found = f"{version} is older than 2.9, the first for this nki"
    else:
        return Finding("torch-neuronx", "ok", f"version {version}", backends=NKI)
    return Finding("torch-neuronx", wrong(asked), found, INSTALL, NKI)


def check_generation(asked: Asked) -> Finding:
    """The nki version against the generation of the chip."""
    from dfmp2.kernels.nki import nki_version

    found = generation(asked.root)
    if found is None:
        return Finding("generation", "info", "no Neuron instance recognised", backends=NKI)
    if found in ("trn1", "inf2") and nki_version is not None:
        return Finding(
            "generation",
            "warn",
            f"{found} with nki {nki_version}: AWS's own pages contradict each other on whether "
            "nki still supports it from 0.3 on",
            "prefer nki 0.3 or 0.4 here, or a trn2 instance; believe only a passing kernel test",
            NKI,
        )
    if found not in ("trn1", "trn2", "trn3"):
        return Finding(
            "generation", wrong(asked), f"{found} is none that the kernels were written for",
            "use a trn2 instance", NKI,
        )  # fmt: skip
    return Finding("generation", "ok", f"{found}, nki {nki_version or 'not installed'}", "", NKI)


def _own_bin() -> Path:
    return Path(sys.executable).parent


def _on_path(folder: Path) -> bool:
    entries = [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    return any(entry.is_dir() and entry.samefile(folder) for entry in entries)


def _export() -> str:
    return f'export PATH="{_own_bin()}:$PATH"'


def check_path(asked: Asked) -> Finding:
    """The interpreter's own bin directory on PATH: torch-neuronx looks for its tools there."""
    if _on_path(_own_bin()):
        return Finding("PATH", "ok", f"holds {_own_bin()}", backends=NKI)
    return Finding(
        "PATH", wrong(asked), f"lacks the interpreter's own directory {_own_bin()}", _export(), NKI
    )


def check_plugin_path(asked: Asked) -> Finding:
    """``libneuronpjrt-path`` is found and names a library that exists."""
    program = shutil.which(PLUGIN)
    if program is None:
        if (_own_bin() / PLUGIN).exists():
            return Finding(
                PLUGIN, wrong(asked), f"is in {_own_bin()}, which is not on PATH: every launch "
                "will raise FileNotFoundError", _export(), NKI,
            )  # fmt: skip
        return Finding(PLUGIN, absent(asked), "is not installed (part of libneuronxla)", INSTALL,
                       NKI)  # fmt: skip
    try:
        done = subprocess.run(
            [program], capture_output=True, text=True, timeout=PLUGIN_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(PLUGIN, wrong(asked), f"{program} does not run: {error}", INSTALL, NKI)
    library = done.stdout.strip()
    if done.returncode or not library or not Path(library).is_file():
        said = library or " ".join(done.stderr.split()) or "it says nothing"
        return Finding(PLUGIN, wrong(asked), f"{program} names no library: {said}", INSTALL, NKI)
    return Finding(PLUGIN, "ok", f"{program} names {library}", backends=NKI)


def _native_torch() -> bool:
    import torch

    return hasattr(torch, "neuron")


def check_plugin_import(asked: Asked) -> Finding:
    """torch's plugin imports, tried in a process of its own: a broken one may take it down."""
    name = "plugin import"
    if _native_torch():
        return Finding(name, "ok", "not needed: torch has neuron built in", backends=NKI)
    if version_of("torch-neuronx") is None:
        return Finding(name, absent(asked), "torch-neuronx is not installed", INSTALL, NKI)
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import torch_neuronx"],
            capture_output=True, text=True, timeout=IMPORT_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        reason = f"no end after {IMPORT_SECONDS} s"
    else:
        if done.returncode == 0:
            return Finding(name, "ok", "torch_neuronx imports", backends=NKI)
        last = done.stderr.strip().splitlines()[-1:]
        reason = last[0] if last else f"ended with status {done.returncode}"
    return Finding(name, wrong(asked), f"import torch_neuronx: {reason}", INSTALL, NKI)


def check_compiler(asked: Asked) -> Finding:
    """The compiler and the runtime's XLA plugin, by the versions of their packages."""
    names = ("neuronx-cc", "libneuronxla")
    versions = {name: version_of(name) for name in names}
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        return Finding(
            "compiler", absent(asked), f"not installed: {', '.join(missing)}", INSTALL, NKI
        )
    found = ", ".join(f"{name} {version}" for name, version in versions.items())
    return Finding("compiler", "ok", found, backends=NKI)
