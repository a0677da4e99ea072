"""Estimated device time of each kernel, from traces of its programs without arithmetic.

A host function is called with arrays that have shapes and no memory (torch's meta tensors) and a
launcher that traces each distinct program once in the bundled simulator. The result is an
*estimate*: engine cycles and DMA rates from AWS's documents, everything overlapped. A second,
pessimistic one adds what a third party reports of VectorE (`simulator.cost`). Nothing here was
measured by this project. The times to compile a program and to submit a launch are not included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dfmp2.errors import InputError
from dfmp2.kernels.ao2mo import ao2mo
from dfmp2.kernels.gemm import gemm
from dfmp2.kernels.launch import Kernel, Launcher, program_key
from dfmp2.kernels.mp2_energy import mp2_energy
from dfmp2.kernels.operands import Operand
from dfmp2.kernels.pair_energy import pair_energy
from dfmp2.kernels.simulator import Account, generation, shape_of, trace
from dfmp2.kernels.syrk import syrk
from dfmp2.kernels.trsm import trsm

__all__ = ["ESTIMATED", "OPEN_SHELL", "SHAPES", "Estimate", "Tracer", "estimate"]

SHAPES = {"small": (16, 112, 384), "medium": (64, 448, 1536), "large": (96, 672, 2304)}
"""Occupied, virtual and auxiliary orbitals of the published benchmark sizes."""


@dataclass(frozen=True)
class Estimate:
    """Estimate for one kernel on one problem and one core.

    Attributes
    ----------
    programs
        Launches of each distinct program, and the account of one of them.
    """

    kernel: str
    target: str
    programs: dict[str, tuple[int, Account]]

    @property
    def launches(self) -> int:
        """Launches of all programs."""
        return sum(count for count, _ in self.programs.values())

    def total(self, quantity: Callable[[Account], float]) -> float:
        """Sum of a quantity over all launches."""
        return sum(count * quantity(account) for count, account in self.programs.values())

    @property
    def busy_ms(self) -> dict[str, float]:
        """Busy time of each engine in milliseconds, all launches."""
        engines = next(iter(self.programs.values()))[1].busy_us()
        return {e: self.total(lambda a, e=e: a.busy_us()[e]) / 1e3 for e in engines}  # type: ignore[misc]

    @property
    def device_ms(self) -> float:
        """Milliseconds if each program is bound by its busiest engine, without launch overhead."""
        return self.total(lambda a: a.bound()[1]) / 1e3

    @property
    def pessimistic_ms(self) -> float:
        """`device_ms` if every instruction of VectorE takes 200 ns before its first element."""
        return self.total(lambda a: a.bound(pessimistic=True)[1]) / 1e3

    @property
    def hbm_bytes(self) -> float:
        """Bytes read from and written to HBM."""
        return self.total(lambda a: a.dma.hbm_read + a.dma.hbm_written)

    @property
    def instructions(self) -> int:
        """Instructions of the largest program."""
        return max(account.instructions for _, account in self.programs.values())


class Tracer:
    """A `Launch` that traces each program once and returns an output without values."""

    def __init__(self, target: str) -> None:
        self.target = generation(target)
        self.accounts: dict[str, Account] = {}

    def __call__(self, kernel: Kernel, *operands: Operand) -> Operand:
        import torch

        key = program_key(kernel, operands)
        if key not in self.accounts:
            shapes = [
                shape_of(tuple(x.shape), x.dtype if isinstance(x, np.ndarray) else np.float32)
                for x in operands
            ]
            self.accounts[key] = trace(kernel, *shapes, target=self.target)
        (shape,) = self.accounts[key].outputs
        # Host functions read energies, which a tensor without memory does not allow.
        is_energy = "energy" in kernel.__name__
        return np.zeros(shape) if is_energy else torch.empty(shape, device="meta")


def _problems(nocc: int, nvir: int, naux: int) -> dict[str, Callable[[Launcher], object]]:
    """One call of each estimated kernel, as the pipeline makes it for these sizes."""
    import torch

    def blank(*shape: int) -> Operand:
        return torch.empty(shape, device="meta")

    nao = nocc + nvir
    e_occ, e_vir = np.full(nocc, -1.0), np.ones(nvir)
    pairs = nocc * (nocc + 1) // 2
    b = blank(nocc, naux, nvir)
    return {
        "gemm": lambda f: gemm(blank(nvir, naux), blank(naux, nvir), launch=f),
        "syrk": lambda f: syrk(blank(nvir, naux), launch=f),
        "trsm": lambda f: trsm(np.eye(naux), blank(naux, nocc * nvir), launch=f),
        "ao2mo": lambda f: ao2mo(
            blank(naux, nao, nao), blank(nao, nocc), blank(nao, nvir), launch=f
        ),
        "mp2_energy": lambda f: mp2_energy(
            blank(pairs, nvir, nvir), np.full(pairs, -2.0), e_vir, launch=f
        ),
        "pair_energy": lambda f: pair_energy(b, b, e_occ, e_occ, e_vir, diagonal=True, launch=f),
        OPEN_SHELL: lambda f: _open_shell(b, e_occ, e_vir, f),
    }


def _open_shell(b: Operand, e_occ: Operand, e_vir: Operand, launch: Launcher) -> None:
    """The three blocks of pairs of an open shell: of alpha, of beta, and of both."""
    for _ in range(2):
        pair_energy(b, b, e_occ, e_occ, e_vir, diagonal=True, launch=launch)
    pair_energy(b, b, e_occ, e_occ, e_vir, e_b=e_vir, launch=launch)


OPEN_SHELL = "pair_energy_uhf"
"""All pair energies of an open shell whose two spins have the given sizes each."""

ESTIMATED = ("gemm", "syrk", "trsm", "ao2mo", "mp2_energy", "pair_energy", OPEN_SHELL)
"""Kernels with a natural problem in a DF-MP2 run of given sizes."""


def estimate(
    kernel: str,
    nocc: int,
    nvir: int,
    naux: int,
    target: str = "trn1",
    tracer: Tracer | None = None,
) -> Estimate:
    """Estimate `kernel` for a molecule of given sizes on one core of generation `target`.

    gemm and syrk make one T block; the others do their whole step of the run. Several estimates
    with one `tracer` of this generation trace the programs that they share once.

    Raises
    ------
    InputError
        A kernel that is not in `ESTIMATED`, or an unknown generation.
    """
    if kernel not in ESTIMATED:
        raise InputError(f"no estimate is made for {kernel!r}: choose from {', '.join(ESTIMATED)}")
    tracer = tracer or Tracer(target)
    launcher = Launcher(tracer)
    _problems(nocc, nvir, naux)[kernel](launcher)
    accounts = tracer.accounts
    return Estimate(
        kernel, target, {key: (count, accounts[key]) for key, count in launcher.programs.items()}
    )
