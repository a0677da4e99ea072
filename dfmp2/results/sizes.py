"""The dimensions of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Sizes"]


@dataclass(frozen=True)
class Sizes:
    """Dimensions of a run.

    Attributes
    ----------
    nao : int
        Atomic orbitals.
    nocc : int
        Correlated occupied orbitals. Of an open shell those of both spins, alpha first.
    nvir : int
        Correlated virtual orbitals. Of an open shell those of the spin that has more.
    naux : int
        Auxiliary functions.
    aux_shell : int
        Functions in the largest auxiliary shell, the smallest possible block of P.
    spins : tuple of tuple of int
        (nocc, nvir) of alpha and of beta. Empty for a closed shell.
    checked : tuple of tuple of int
        Of each spin, random vectors and occupied orbitals, also frozen ones, whose Fock matrix is
        checked with the integrals. Empty without this check.
    """

    nao: int
    nocc: int
    nvir: int
    naux: int
    aux_shell: int = 1
    spins: tuple[tuple[int, int], ...] = ()
    checked: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, nao: int, spins: Sequence[tuple[int, int]], naux: int, aux_shell: int = 1) -> Sizes:
        """The dimensions of a run with one or two spin blocks of (nocc, nvir) orbitals."""
        nocc, nvir = sum(n for n, _ in spins), max(n for _, n in spins)
        return cls(nao, nocc, nvir, naux, aux_shell, tuple(spins) if len(spins) > 1 else ())

    @property
    def blocks(self) -> tuple[tuple[int, int], ...]:
        """(nocc, nvir) of each spin block: one for a closed shell, alpha and beta otherwise."""
        return self.spins or ((self.nocc, self.nvir),)

    def named(self) -> dict[str, int]:
        """The dimensions by the names that a result has for them."""
        names = ("_a", "_b") if self.spins else ("",)
        found = {"nao": self.nao}
        for name, (nocc, nvir) in zip(names, self.blocks, strict=True):
            found |= {f"nocc{name}": nocc, f"nvir{name}": nvir}
        return {**found, "naux": self.naux}

    def nvir_of(self, i: int) -> int:
        """Virtual orbitals of the spin of occupied orbital i."""
        nocc, nvir = self.blocks[0]
        return nvir if i < nocc else self.blocks[-1][1]

    @property
    def elements(self) -> int:
        """Elements of B per auxiliary function."""
        return sum(nocc * nvir for nocc, nvir in self.blocks)

    @property
    def npair(self) -> int:
        """Number of pairs i <= j."""
        return self.nocc * (self.nocc + 1) // 2
