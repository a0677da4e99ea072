"""Checks of the software that a Neuron device needs: packages, PATH, plugin, compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from packaging.version import Version

from dfmp2.backends.neuron import generation
from dfmp2.doctor.finding import Asked, Finding, absent, neuron_finding, version_of, wrong

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
    """The package nki of AWS, not the placeholder (0.0.1) of the public registry."""
    from dfmp2.kernels.nki import nki_version, why_not

    reason = why_not()
    if reason is None:
        return neuron_finding("nki", "ok", f"AWS's package, version {nki_version}")
    status = absent(asked) if version_of("nki") is None else wrong(asked)
    return neuron_finding("nki", status, reason, INSTALL)


def check_torch_neuronx(asked: Asked) -> Finding:
    """The package torch-neuronx of AWS, not the placeholder (1.0) of the public registry."""
    version = version_of("torch-neuronx")
    if version is None:
        if _native_torch():
            return neuron_finding("torch-neuronx", "ok", "not needed: torch has neuron built in")
        return neuron_finding(
            "torch-neuronx", absent(asked), "the package is not installed", INSTALL
        )
    if Version(version).release[:2] == (1, 0):
        found = f"{version} is the public registry's placeholder, not AWS's package"
    elif Version(version) < Version("2.9"):
        found = f"{version} is older than 2.9, the first version that supports this nki"
    else:
        return neuron_finding("torch-neuronx", "ok", f"version {version}")
    return neuron_finding("torch-neuronx", wrong(asked), found, INSTALL)


def check_generation(asked: Asked) -> Finding:
    """Whether this nki supports the generation of the chip."""
    from dfmp2.kernels.nki import nki_version

    found = generation(asked.root)
    if found is None:
        return neuron_finding("generation", "info", "no Neuron instance recognised")
    if found in ("trn1", "inf2") and nki_version is not None:
        return neuron_finding(
            "generation",
            "warn",
            f"{found} with nki {nki_version}: the documents of AWS contradict each other on "
            "whether nki supports it from 0.3 on",
            "use nki 0.3 or 0.4 here, or a trn2 instance, and run the kernel tests",
        )
    if found not in ("trn1", "trn2", "trn3"):
        return neuron_finding(
            "generation",
            wrong(asked),
            f"the kernels were not written for {found}",
            "use a trn2 instance",
        )
    return neuron_finding("generation", "ok", f"{found}, nki {nki_version or 'not installed'}")


def _own_bin() -> Path:
    return Path(sys.executable).parent


def _on_path(folder: Path) -> bool:
    entries = [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    return any(entry.is_dir() and entry.samefile(folder) for entry in entries)


def _export() -> str:
    return f'export PATH="{_own_bin()}:$PATH"'


def check_path(asked: Asked) -> Finding:
    """The bin folder of the interpreter on PATH, where torch-neuronx looks for its tools."""
    if _on_path(_own_bin()):
        return neuron_finding("PATH", "ok", f"contains {_own_bin()}")
    return neuron_finding(
        "PATH", wrong(asked), f"lacks the bin folder of the interpreter, {_own_bin()}", _export()
    )


def check_plugin_path(asked: Asked) -> Finding:
    """``libneuronpjrt-path`` is found and prints the path of a library that exists."""
    program = shutil.which(PLUGIN)
    if program is None:
        if (_own_bin() / PLUGIN).exists():
            return neuron_finding(
                PLUGIN,
                wrong(asked),
                f"is in {_own_bin()}, which is not on PATH: every launch "
                "will raise FileNotFoundError",
                _export(),
            )
        return neuron_finding(
            PLUGIN, absent(asked), "is not installed (part of libneuronxla)", INSTALL
        )
    try:
        done = subprocess.run(
            [program], capture_output=True, text=True, timeout=PLUGIN_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return neuron_finding(PLUGIN, wrong(asked), f"{program} does not run: {error}", INSTALL)
    library = done.stdout.strip()
    if done.returncode or not library or not Path(library).is_file():
        output = library or " ".join(done.stderr.split()) or "no output"
        return neuron_finding(
            PLUGIN, wrong(asked), f"{program} does not print a library: {output}", INSTALL
        )
    return neuron_finding(PLUGIN, "ok", f"{program} prints {library}")


def _native_torch() -> bool:
    import torch

    return hasattr(torch, "neuron")


def check_plugin_import(asked: Asked) -> Finding:
    """The plugin of torch imports. Tried in a new process, which a broken plugin may abort."""
    name = "plugin import"
    if _native_torch():
        return neuron_finding(name, "ok", "not needed: torch has neuron built in")
    if version_of("torch-neuronx") is None:
        return neuron_finding(name, absent(asked), "torch-neuronx is not installed", INSTALL)
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import torch_neuronx"],
            capture_output=True,
            text=True,
            timeout=IMPORT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        reason = f"not finished after {IMPORT_SECONDS} s"
    else:
        if done.returncode == 0:
            return neuron_finding(name, "ok", "torch_neuronx imports")
        last = done.stderr.strip().splitlines()[-1:]
        reason = last[0] if last else f"ended with status {done.returncode}"
    return neuron_finding(name, wrong(asked), f"import torch_neuronx: {reason}", INSTALL)


def check_compiler(asked: Asked) -> Finding:
    """Versions of the packages of the compiler and of the runtime's XLA plugin."""
    versions = {name: version_of(name) for name in ("neuronx-cc", "libneuronxla")}
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        return neuron_finding(
            "compiler", absent(asked), f"not installed: {', '.join(missing)}", INSTALL
        )
    found = ", ".join(f"{name} {version}" for name, version in versions.items())
    return neuron_finding("compiler", "ok", found)
