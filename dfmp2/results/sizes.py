"""The dimensions of a run."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Sizes"]


@dataclass(frozen=True)
class Sizes:
    """Dimensions of a run: `nocc` counts the correlated occupied orbitals."""

    nao: int
    nocc: int
    nvir: int
    naux: int
    aux_shell: int = 1
    """Functions in the largest auxiliary shell: the smallest block of P."""

    @property
    def npair(self) -> int:
        """Number of pairs i <= j."""
        return self.nocc * (self.nocc + 1) // 2
