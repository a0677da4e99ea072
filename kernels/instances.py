"""Estimated times of the pair energies on the cores of one instance.

Pairs do not depend on each other, so each core can be given an equal share of them by a process of
its own. Each process needs B in the memory of its core. All numbers are *estimates* from those of
one core (`estimate`) and from one published rate of transfer.
"""

from __future__ import annotations

from typing import NamedTuple

from dfmp2.kernels.estimate import Estimate, Tracer
from dfmp2.kernels.launch import instruction_limit
from dfmp2.kernels.limits import F32_BYTES
from dfmp2.kernels.pair_plan import (
    ResidentPlan,
    StreamedPlan,
    choose_form,
    orbital_groups,
    padded_sizes,
)
from dfmp2.kernels.tiling import Panels, ceil_div

__all__ = ["INSTANCES", "Instance", "Share", "groups_of_orbitals", "share"]


class Instance(NamedTuple):
    """An instance type.

    Attributes
    ----------
    cores
        Physical NeuronCores: the kernels are written for one.
    core_gib
        Device memory per core.
    """

    name: str
    generation: str
    cores: int
    core_gib: int


INSTANCES = (
    Instance("trn1.2xlarge", "trn1", 2, 16),
    Instance("trn1.32xlarge", "trn1", 32, 16),
    Instance("trn2.48xlarge", "trn2", 128, 12),
)
"""Trainium chips of 2 cores and 32 GiB: 1 and 16; Trainium2 chips of 8 cores and 96 GiB: 16. These
128 cores are 64 logical ones in the default configuration, LNC = 2 (AWS Neuron documentation,
architecture and best practices for training)."""

HOST_GB_S = 2.8
"""Rate from the host to a core: 4 MB in 1.5 ms were published for trn1.2xlarge (trnblas). No figure
is known for several cores at once, or for trn2."""


class Share(NamedTuple):
    """Estimate of the pair energies of one core, where all cores have equal shares.

    Attributes
    ----------
    pairs
        Most pairs i <= j of a core.
    fits
        Whether B fits in the memory of a core.
    b_ms, b_in_turn_ms
        Milliseconds until every core has B: all copies at once at the full rate, or one after the
        other.
    device_ms, pessimistic_ms
        As in `Estimate`, for one core.
    """

    instance: Instance
    pairs: int
    fits: bool
    b_ms: float
    b_in_turn_ms: float
    device_ms: float
    pessimistic_ms: float


def share(one_core: Estimate, instance: Instance, nocc: int, nvir: int, naux: int) -> Share:
    """Estimate the share of one core of `instance` in the pairs i <= j of `nocc` orbitals.

    `one_core` is the estimate of `pair_energy` for a core of its generation that does all pairs.
    """
    total = nocc * (nocc + 1) // 2
    pairs = ceil_div(total, instance.cores)
    rows, columns = padded_sizes(_form(instance.generation, nocc, nvir, naux))
    b_bytes = nocc * rows * columns * F32_BYTES
    copy = b_bytes / (HOST_GB_S * 1e6)
    return Share(
        instance=instance,
        pairs=pairs,
        fits=b_bytes < instance.core_gib * 2**30,
        b_ms=copy,
        b_in_turn_ms=copy * instance.cores,
        device_ms=one_core.device_ms * pairs / total,
        pessimistic_ms=one_core.pessimistic_ms * pairs / total,
    )


def groups_of_orbitals(target: str, nocc: int, nvir: int, naux: int) -> Panels:
    """Groups of orbitals that `pair_energy` makes, because run-time offsets have 32 bits."""
    return orbital_groups(nocc, *padded_sizes(_form(target, nocc, nvir, naux)))


def _form(target: str, nocc: int, nvir: int, naux: int) -> ResidentPlan | StreamedPlan:
    return choose_form(nvir, naux, nocc // 2 + 1, instruction_limit(Tracer(target)))
