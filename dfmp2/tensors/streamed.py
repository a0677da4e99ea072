"""The half transforms on a device whose copies and arithmetic run beside the host.

Three things happen at the same time: the CPU makes the integrals of one block, the block before it
is copied to the device, and the block before that is transformed. Two host and two device buffers
are enough. An event protects each use of a buffer:

    host buffer     written again after its copy has finished          the host waits
    device buffer   written again after its block was transformed      the copies wait
    transform       begins after its block has arrived                 the arithmetic waits

The host waits for nothing else until the last block. Only the lower triangles are copied. They are
unpacked on the device. The device is behind `dfmp2.backends.protocol.Engine`, so that the order
above is tested without one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from dfmp2.backends.protocol import Engine, Event, Tensor
from dfmp2.integrals.blocks import AuxBlock, HostIntegrals

__all__ = ["HalfTransform", "device_blocks", "host_blocks"]


class HalfTransform:
    """The half transforms of one block into B.

    Parameters
    ----------
    ao2mo : callable
        As `dfmp2.backends.protocol.Backend.ao2mo`.
    targets : sequence of tuple of tensor
        c_occ, c_vir and B of each spin, shapes (nao, nocc), (nao, nvir) and (nocc, naux, nvir).
        B is written.
    """

    def __init__(
        self, ao2mo: Callable[..., None], targets: Sequence[tuple[Tensor, Tensor, Tensor]]
    ) -> None:
        self._ao2mo, self._targets = ao2mo, targets
        self.nao = int(targets[0][0].shape[0])
        self._memory: torch.Tensor | None = None
        self._index: torch.Tensor | None = None

    def full(self, block: AuxBlock, eri: Tensor) -> None:
        """Transform [P,m,n]."""
        for c_occ, c_vir, b in self._targets:
            self._ao2mo(eri, c_occ, c_vir, b[:, block.p0 : block.p1, :])

    def packed(self, block: AuxBlock, triangles: Tensor) -> None:
        """Transform [P,mn]."""
        nao, size = self.nao, block.p1 - block.p0
        if self._index is None:
            lower = np.empty((nao, nao), dtype=np.int64)
            lower[np.tril_indices(nao)] = np.arange(nao * (nao + 1) // 2)
            lower = np.tril(lower) + np.tril(lower, -1).T
            self._index = torch.from_numpy(lower.reshape(-1)).to(triangles.device)
        if self._memory is None or len(self._memory) < size * nao * nao:
            self._memory = torch.empty(
                size * nao * nao, dtype=triangles.dtype, device=triangles.device
            )
        out = self._memory[: size * nao * nao].view(size, nao * nao)
        torch.index_select(triangles.view(size, -1), 1, self._index, out=out)
        self.full(block, out.view(size, nao, nao))


def host_blocks(
    integrals: HostIntegrals,
    engine: Engine,
    work: HalfTransform,
    report: Callable[[int], None],
) -> list[float]:
    """Transform integrals that the CPU makes.

    Parameters
    ----------
    integrals : HostIntegrals
    engine : Engine
    work : HalfTransform
    report : callable
        Called with the number of blocks that were queued.

    Returns
    -------
    list of float
        Seconds of the device for each block, all of which are done.
    """
    largest = max((block.p1 - block.p0 for block in integrals.blocks), default=0)
    triangle = work.nao * (work.nao + 1) // 2
    host = [engine.host_memory(largest * triangle) for _ in range(2)]
    device = [engine.device_memory(largest * triangle) for _ in range(2)]
    copied: list[Event | None] = [None, None]
    transformed: list[Event | None] = [None, None]

    def memory(number: int) -> Any:
        event = copied[number % 2]
        if event is not None:
            engine.wait(event)
        return host[number % 2].numpy()

    events = []
    for number, (block, _) in enumerate(integrals.packed(memory)):
        slot, count = number % 2, (block.p1 - block.p0) * triangle
        arrived = device[slot][:count]
        copied[slot] = engine.copy(host[slot][:count], arrived, transformed[slot])
        transformed[slot] = engine.compute(_bound(work.packed, block, arrived), copied[slot])
        events.append(transformed[slot])
        report(number + 1)
    return _finished(engine, events)


def device_blocks(
    integrals: Iterable[tuple[AuxBlock, Tensor]],
    engine: Engine,
    work: HalfTransform,
    report: Callable[[int], None],
) -> list[float]:
    """Transform integrals that the device makes; parameters and result as of `host_blocks`."""
    events = []
    for number, (block, eri) in enumerate(integrals):
        events.append(engine.compute(_bound(work.full, block, eri), None))
        report(number + 1)
    return _finished(engine, events)


def _bound(
    work: Callable[[AuxBlock, Tensor], None], block: AuxBlock, tensor: Tensor
) -> Callable[[], None]:
    return lambda: work(block, tensor)


def _finished(engine: Engine, events: list[Event]) -> list[float]:
    for event in events[-1:]:  # one queue: the last is done when all are
        engine.wait(event)
    return [engine.seconds(event) for event in events]
