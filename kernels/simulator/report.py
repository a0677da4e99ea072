"""An account as text and as plain numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .account import Account

__all__ = ["ENGINES", "as_dict", "lines"]

ENGINES = ("tensor", "vector", "scalar", "gpsimd", "dma")
_NAMES = {
    "tensor": "TensorE",
    "vector": "VectorE",
    "scalar": "ScalarE",
    "gpsimd": "GpSimdE",
    "dma": "DMA",
}


def lines(account: Account) -> list[str]:
    """Return the account as text, one line per engine; times are marked as estimates."""
    busy = account.busy_us()
    engine, time_us = account.bound()
    t = account.target
    head = (
        f"estimate for one core of {t.name}: at least {time_us / 1e3:.3f} ms, "
        f"bound by {_NAMES[engine]}; {account.instructions} instructions in the program"
    )
    text = [head]
    for e in ENGINES:
        executed = sum(n for (k, _), n in account.executed.items() if k == e)
        text.append(f"  {_NAMES[e]:<8} {busy[e] / 1e3:10.3f} ms  {executed:>9} instructions")
    dma = account.dma
    text.append(
        f"  HBM      {dma.hbm_read / 1e6:10.2f} MB read, {dma.hbm_written / 1e6:.2f} MB written"
    )
    text.append(
        f"  live     SBUF {account.sbuf_peak} of {t.sbuf_usable_bytes}, "
        f"PSUM {account.psum_peak} of {t.psum_banks * t.psum_bank_bytes} bytes per partition"
    )
    text.extend(
        f"  unproven on hardware: {what} ({n} times)" for what, n in account.unproven.items()
    )
    return text


def as_dict(account: Account) -> dict[str, Any]:
    """Return the account as plain numbers, for JSON and tables."""
    engine, time_us = account.bound()
    return {
        "generation": account.target.name,
        "estimate": True,
        "instructions_program": account.instructions,
        "instructions_executed": {
            e: sum(n for (k, _), n in account.executed.items() if k == e) for e in ENGINES
        },
        "cycles": {e: account.engine_cycles(e) for e in ENGINES[:-1]},
        "matmul_cycles": account.matmul_cycles,
        "transpose_cycles": account.transpose_cycles,
        "matmul_macs": account.matmul_macs,
        "matmul_passes": {str(k): v for k, v in sorted(account.matmul_passes.items())},
        "hbm_read_bytes": account.dma.hbm_read,
        "hbm_written_bytes": account.dma.hbm_written,
        "on_chip_dma_bytes": account.dma.on_chip,
        "dma_transfers": account.dma.transfers,
        "dma_descriptor_bytes": {str(k): v for k, v in sorted(account.dma.descriptors.items())},
        "sbuf_peak_bytes_per_partition": account.sbuf_peak,
        "psum_peak_bytes_per_partition": account.psum_peak,
        "busy_us": account.busy_us(),
        "bound": engine,
        "bound_us": time_us,
        "unproven": dict(account.unproven),
    }
