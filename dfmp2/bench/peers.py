"""The programs that `dfmp2 bench` compares with, on the same orbitals or the same basis sets."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from dfmp2.bench.blas import pyscf_blas
from dfmp2.bench.pairs import Peer, Run
from dfmp2.bench.psi4 import psi4_obstacle, psi4_run, psi4_version
from dfmp2.fitting.auxbasis import AuxBasis
from dfmp2.references.mean_field import as_mean_field
from dfmp2.references.reference import Indices
from dfmp2.references.solution import ScfSolution
from dfmp2.workflow.peak_memory import PeakMeter

__all__ = ["PEERS", "Gpu4Pyscf", "Psi4", "Pyscf", "PyscfNative", "Setup", "find_peers"]

NOT_INSTALLED = "not installed"
ONLY_CORE = "freezes the lowest occupied orbitals only"

SAME_ORBITALS = 1e-8
"""Hartree. Two float64 programs on the same orbitals agree better than this."""

OWN_SCF = 1e-6
"""Hartree. A program with an SCF of its own may differ by this in the correlation energy."""


@dataclass(frozen=True, eq=False)
class Setup:
    """The input of one molecule for all programs.

    Attributes
    ----------
    solution : ScfSolution
    aux : AuxBasis
    frozen : tuple of tuple of int
        Indices of the orbitals that are not correlated: one for a closed shell, or those of both
        spins.
    empty : bool
        There is nothing to correlate.
    threads : int
    max_memory : float
        MB that each program may use.
    """

    solution: ScfSolution
    aux: AuxBasis
    frozen: tuple[Indices, ...]
    empty: bool
    threads: int
    max_memory: float

    def mean_field(self) -> Any:
        """The orbitals as a mean-field object of PySCF."""
        return as_mean_field(self.solution, self.max_memory)

    @property
    def core(self) -> int | None:
        """Number of frozen orbitals, if they are the lowest occupied ones of each spin."""
        count = len(self.frozen[0])
        occupied = min(int(spin.occupied.sum()) for spin in self.solution.spins)
        lowest = set(self.frozen) == {tuple(range(count))} and count <= occupied
        return count if lowest else None


class Pyscf:
    """`pyscf.mp.dfmp2`, the usual DF-MP2 of PySCF; `pyscf.mp.dfump2` for open shells."""

    name, tolerance = "pyscf", SAME_ORBITALS

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self.version, self.blas = metadata.version("pyscf"), pyscf_blas(setup.threads)

    @staticmethod
    def obstacle(setup: Setup) -> str | None:
        """Why it cannot run, or None."""
        return None

    def run(self) -> Run:
        """Do the DF-MP2 part once."""
        from dfmp2.interfaces.validation import pyscf_dfmp2

        setup = self._setup
        meter = PeakMeter()
        start = time.perf_counter()
        frozen = setup.frozen if setup.solution.open_shell else setup.frozen[0]
        mp2 = pyscf_dfmp2(setup.solution, setup.aux.spec, frozen, setup.max_memory)
        mp2.kernel(with_t2=False)
        return Run(time.perf_counter() - start, float(mp2.e_corr), meter.peak())


class PyscfNative:
    """`pyscf.mp.dfmp2_native` or `dfump2_native`, whose integrals are on the disk."""

    name, tolerance = "pyscf-native", SAME_ORBITALS

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self.version, self.blas = metadata.version("pyscf"), pyscf_blas(setup.threads)

    @staticmethod
    def obstacle(setup: Setup) -> str | None:
        """Why it cannot run, or None."""
        return ONLY_CORE if setup.core is None else None

    def run(self) -> Run:
        """Do the DF-MP2 part once."""
        from pyscf.mp.dfmp2_native import DFRMP2
        from pyscf.mp.dfump2_native import DFUMP2

        setup = self._setup
        kind = DFUMP2 if setup.solution.open_shell else DFRMP2
        meter = PeakMeter()
        start = time.perf_counter()
        with kind(setup.mean_field(), setup.core or None, setup.aux.spec) as mp2:
            mp2.verbose, mp2.max_memory = 0, setup.max_memory
            e_corr = float(mp2.kernel())
        return Run(time.perf_counter() - start, e_corr, meter.peak())


class Gpu4Pyscf:
    """`gpu4pyscf.mp.dfmp2` on the first CUDA GPU."""

    name, tolerance = "gpu4pyscf", SAME_ORBITALS

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        import gpu4pyscf

        self.version, self.blas = str(gpu4pyscf.__version__), "cuBLAS"

    @staticmethod
    def obstacle(setup: Setup) -> str | None:
        """Why it cannot run, or None."""
        if importlib.util.find_spec("gpu4pyscf") is None:
            return NOT_INSTALLED
        if setup.solution.open_shell:
            return "treats closed shells only"
        import torch

        return None if torch.cuda.is_available() else "torch finds no CUDA GPU"

    def run(self) -> Run:
        """Do the DF-MP2 part once."""
        from gpu4pyscf.mp.dfmp2 import DFMP2

        setup = self._setup
        start = time.perf_counter()
        mp2 = DFMP2(setup.mean_field(), auxbasis=setup.aux.mol)
        mp2.verbose, mp2.frozen = 0, list(setup.frozen[0]) or None
        e_corr = float(mp2.kernel())  # waits for the device
        return Run(time.perf_counter() - start, e_corr)


class Psi4:
    """Psi4's DF-MP2 in a separate process. Psi4 runs its own SCF, which is not timed."""

    name, tolerance = "psi4", OWN_SCF

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self.version, self.blas = psi4_version(), "unknown before its first run"

    @staticmethod
    def obstacle(setup: Setup) -> str | None:
        """Why it cannot run, or None."""
        if setup.core is None:
            return ONLY_CORE
        if setup.solution.kind == "ROHF":
            return "its correlation energy of an ROHF holds the single excitations"
        return psi4_obstacle(setup.solution.mol)

    def run(self) -> Run:
        """Run Psi4 once. Its SCF is not timed."""
        setup = self._setup
        mf = setup.mean_field()
        mf.with_df = setup.solution.with_df
        found = psi4_run(mf, setup.aux.mol, setup.core or 0, setup.threads)
        self.blas = found.blas
        return Run(found.seconds, found.e_corr)


PEERS: dict[str, Any] = {peer.name: peer for peer in (Pyscf, PyscfNative, Psi4, Gpu4Pyscf)}
"""The peers by their name in ``--peer``."""


def find_peers(names: Sequence[str], setup: Setup) -> tuple[list[Peer], dict[str, str]]:
    """Make the peers that can run.

    Parameters
    ----------
    names : sequence of str
        Keys of `PEERS`.
    setup : Setup

    Returns
    -------
    ready : list of Peer
    missing : dict of str to str
        The others, with the reason.
    """
    ready: list[Peer] = []
    missing: dict[str, str] = {}
    for name in names:
        obstacle = PEERS[name].obstacle(setup)
        if obstacle is None:
            ready.append(PEERS[name](setup))
        else:
            missing[name] = obstacle
    return ready, missing
