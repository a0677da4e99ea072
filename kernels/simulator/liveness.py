"""Peak of live on-chip memory, from the trace.

A tile is live from its first write to its last use. The compiler chooses addresses, so the
simulator only checks that the live bytes fit at every moment. PSUM counts in whole banks, because
a tile starts at a bank.
"""

from __future__ import annotations

import numpy as np

from .errors import refuse
from .memory import Storage
from .state import Run

__all__ = ["check_capacity"]


def check_capacity(run: Run, kernel: str) -> None:
    """Book the peaks of SBUF and PSUM and refuse what does not fit."""
    target = run.target
    bank = target.psum_bank_bytes
    for space, limit in (
        ("sbuf", target.sbuf_usable_bytes),
        ("psum", target.psum_banks * bank),
    ):
        tiles = [s for s in run.storages if s.space == space and s.first_write >= 0]
        sizes = [
            -(-s.bytes_per_partition // bank) * bank if space == "psum" else s.bytes_per_partition
            for s in tiles
        ]
        peak, moment = _peak(run.clock, tiles, sizes)
        if space == "sbuf":
            run.account.sbuf_peak = peak
        else:
            run.account.psum_peak = peak
        if peak > limit:
            live = sorted(
                (
                    (size, s.describe())
                    for s, size in zip(tiles, sizes, strict=True)
                    if s.first_write <= moment <= s.last_use
                ),
                reverse=True,
            )
            largest = "; ".join(f"{n} B: {text}" for n, text in live[:6])
            refuse(
                kernel,
                f"{space}-capacity",
                f"{peak} bytes per partition are live at instruction {moment}, {target.name} has "
                f"{limit}; {len(live)} tiles, largest {largest}",
            )


def _peak(clock: int, tiles: list[Storage], sizes: list[int]) -> tuple[int, int]:
    if not tiles:
        return 0, 0
    change = np.zeros(clock + 2, dtype=np.int64)
    np.add.at(change, [s.first_write for s in tiles], sizes)
    np.subtract.at(change, [s.last_use + 1 for s in tiles], sizes)
    level = np.cumsum(change)
    moment = int(level.argmax())
    return int(level[moment]), moment
