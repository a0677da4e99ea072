"""Checks that need no Neuron device: simulators, CUDA, threads, libraries, cache of numba."""

from __future__ import annotations

import contextlib
import importlib
import os
from functools import partial
from pathlib import Path

from dfmp2.backends.compiled import numba_folder
from dfmp2.doctor.finding import (
    EVERY,
    PYTORCH,
    SIMULATOR,
    Asked,
    Finding,
    version_of,
    why_unwritable,
)
from dfmp2.doctor.verdict import TOLERANCE, product_error
from dfmp2.errors import DFMP2Error, InputError
from dfmp2.references.pyscf_blas import CORETYPE, KERNELS, has_avx2

__all__ = [
    "check_aws_simulator",
    "check_blas",
    "check_cuda",
    "check_h5py",
    "check_numba_cache",
    "check_pyscf",
    "check_simulator",
    "check_threads",
]

SLOW = ("Barcelona", "Bobcat", "Bulldozer", "Core2", "Katmai", "Nehalem", "Opteron", "Penryn",
        "Piledriver", "Prescott", "Sandybridge", "Steamroller")  # fmt: skip
"""Kernels of OpenBLAS without AVX2."""

REINSTALL = "install dfmp2 again"


def check_simulator(asked: Asked) -> Finding:
    """The bundled simulator runs a small matrix product correctly."""
    from dfmp2.backends.launching import SimulatorRunner
    from dfmp2.backends.nki import NkiBackend
    from dfmp2.kernels import simulator

    try:
        settings = f"{simulator.current_generation().name}, {simulator.current_rule_set()} rules"
        off = product_error(NkiBackend(SimulatorRunner(simulator.simulate, "bundled simulator")))
    except InputError as error:  # a wrong environment variable
        return Finding("simulator", "fail", f"bundled: {error}", backends=SIMULATOR)
    except DFMP2Error as error:
        return Finding("simulator", "fail", f"bundled: {error}", REINSTALL, SIMULATOR)
    if not off < TOLERANCE["float32"]:
        return Finding("simulator", "fail", f"bundled: a product is wrong by {off:.1e}",
                       REINSTALL, SIMULATOR)  # fmt: skip
    return Finding("simulator", "ok", f"bundled, of {settings}: a product is right to {off:.0e}",
                   backends=SIMULATOR)  # fmt: skip


def check_aws_simulator(asked: Asked) -> Finding:
    """The simulator of AWS, which is part of the package nki."""
    from dfmp2.kernels.nki import nki_version, why_not

    reason = why_not()
    if reason is None:
        return Finding("AWS's simulator", "ok", f"nki {nki_version}", backends=SIMULATOR)
    needed = asked.device == "aws"
    return Finding("AWS's simulator", "fail" if needed else "info", reason,
                   "use --device bundled" if needed else "", SIMULATOR)  # fmt: skip


def check_cuda(asked: Asked) -> Finding:
    """CUDA GPUs that torch can use, and NVIDIA GPUs that it cannot use."""
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
        return Finding("CUDA", "ok", f"{', '.join(names)} (CUDA {torch.version.cuda})", "", PYTORCH)
    build = f"torch {torch.__version__}"
    if any((asked.root / "dev").glob("nvidia[0-9]*")):
        return Finding("CUDA", "warn", f"there is an NVIDIA GPU that {build} cannot use",
                       "install a torch built for this GPU's driver", PYTORCH)  # fmt: skip
    return Finding("CUDA", "info", f"{build} sees no GPU", backends=PYTORCH)


def _cpus(root: Path) -> int:
    """Number of CPUs that this process may use, from its affinity and its cgroup's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = (root / "sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return min(count or 1, max(1, -(-int(quota) // int(period))))
    except (OSError, ValueError):  # no such file, or "max": no quota
        return count or 1


def check_threads(asked: Asked) -> Finding:
    """Threads of torch and PySCF compared with the number of CPUs."""
    import torch
    from pyscf import lib

    cpus = _cpus(asked.root)
    threads = {"torch": torch.get_num_threads(), "PySCF": lib.num_threads()}
    found = f"{cpus} CPUs; " + ", ".join(f"{who} {n} threads" for who, n in threads.items())
    if max(threads.values()) > cpus:
        return Finding("threads", "warn", f"{found}: more threads than CPUs",
                       f"dfmp2 run --threads {cpus}, or OMP_NUM_THREADS={cpus}")  # fmt: skip
    return Finding("threads", "ok", found)


def check_blas(asked: Asked) -> Finding:
    """The kernels that each BLAS of this process has chosen for the processor."""
    from threadpoolctl import threadpool_info

    with contextlib.suppress(ImportError, OSError):  # another check says so
        importlib.import_module("pyscf.lib")
    kernels, parts = {}, []
    for library in threadpool_info():
        if library["user_api"] == "blas":
            path = library["filepath"]
            owner = next((n for n in ("numpy", "scipy", "pyscf", "torch") if f"/{n}" in path), path)
            kernels[owner] = library.get("architecture")
            name = f"{library['internal_api']} {library['version'] or ''}".strip()
            parts.append(f"{owner}: {name}, {kernels[owner] or 'unknown'} kernels")
    text = "; ".join(parts) or "none that threadpoolctl knows"
    remedy = (
        f"in a script, import numpy and scipy.linalg, set os.environ['{CORETYPE}'] = '{KERNELS}', "
        "then import pyscf"
    )
    if kernels.get("pyscf") in SLOW and has_avx2(asked.root / "proc/cpuinfo"):
        return Finding("BLAS", "warn", f"{text}; those of PySCF are for old processors", remedy)
    if kernels.get("pyscf") == KERNELS:
        text += f"; for these kernels of pyscf {remedy}"
    return Finding("BLAS", "ok", text)


def _check_import(name: str, asked: Asked) -> Finding:
    try:
        importlib.import_module(name)
    except (ImportError, OSError) as error:
        return Finding(name, "fail", f"does not import: {error}", f"pip install {name}")
    return Finding(name, "ok", f"version {version_of(name)}")


check_pyscf = partial(_check_import, "pyscf")
"""PySCF, which computes orbitals and integrals."""

check_h5py = partial(_check_import, "h5py")
"""h5py, which reads and writes run files and PySCF's chkfiles."""


def check_numba_cache(asked: Asked) -> Finding:
    """The folder of compiled code of numba; without it every process compiles again."""
    try:
        place = numba_folder()
        reason = why_unwritable(place)
    except RuntimeError as error:  # the user has no home folder
        reason = str(error)
    if reason is None:
        return Finding("numba cache", "ok", f"{place} is writable", backends=EVERY)
    return Finding("numba cache", "warn", f"not writable: {reason}",
                   "set NUMBA_CACHE_DIR to a folder of yours")  # fmt: skip
