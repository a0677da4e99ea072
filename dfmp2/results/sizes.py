"""The dimensions of a run."""

from __future__ import annotations

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
        Correlated occupied orbitals.
    nvir : int
        Virtual orbitals.
    naux : int
        Auxiliary functions.
    aux_shell : int
        Functions in the largest auxiliary shell, the smallest possible block of P.
    """

    nao: int
    nocc: int
    nvir: int
    naux: int
    aux_shell: int = 1

    @property
    def npair(self) -> int:
        """Number of pairs i <= j."""
        return self.nocc * (self.nocc + 1) // 2
