"""The operations through torch, on a CPU or a CUDA GPU, in float64.

B[i,P,a] lies in memory as [i,a,P]: a range of i is then one matrix with contiguous P, so that
the T blocks of one i with many j are a single large GEMM, the metric solve is one triangular
solve in place, and both half transforms are plain GEMMs.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dfmp2.backends.base import Array, Tensor
from dfmp2.errors import BackendUnavailable
from dfmp2.provenance import Where

__all__ = ["TorchBackend"]

T_BLOCK_BYTES = 16 * 10**6
"""Size of one block of T. Larger ones leave the cache before they are reduced."""


class TorchBackend:
    """`dfmp2.backends.base.Backend` through torch.

    Parameters
    ----------
    device : str
        "cpu", "cuda" or "cuda:N".

    Raises
    ------
    BackendUnavailable
        If torch cannot use that device.
    """

    def __init__(self, device: str = "cpu") -> None:
        try:
            self.device = torch.device(device)
        except RuntimeError as error:
            raise BackendUnavailable(
                f"device {device!r} is not one that torch knows; use cpu, cuda or cuda:N"
            ) from error
        if self.device.type == "cuda":
            count = torch.cuda.device_count() if torch.cuda.is_available() else 0
            if (self.device.index or 0) >= count:
                raise BackendUnavailable(
                    f"device {device!r} asked for, but torch {torch.__version__} sees {count} CUDA "
                    "devices; use --device cpu, or a torch built for this GPU's driver"
                )
            # TF32 would silently replace float32 products; float64 has no such mode.
            torch.backends.cuda.matmul.allow_tf32 = False
            name = torch.cuda.get_device_name(self.device)
        elif self.device.type == "cpu":
            name = f"{_cpu_name()}, {torch.get_num_threads()} threads"
        else:
            raise BackendUnavailable(f"device {device!r} has no float64 path; use cpu or cuda")
        self.where = Where("pytorch", self.device.type, name)
        self._reducer: Any = None

    def asarray(self, x: Array) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(x)).to(self.device)

    def to_host(self, x: Tensor) -> Array:
        array: Array = x.cpu().numpy()
        return array

    def materialize(self, *x: Tensor) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def empty_b(self, nocc: int, naux: int, nvir: int) -> Tensor:
        memory = torch.empty((nocc, nvir, naux), dtype=torch.float64, device=self.device)
        return memory.transpose(1, 2)

    def warm_up(self) -> None:
        a = torch.eye(64, dtype=torch.float64, device=self.device)
        torch.linalg.solve_triangular(a, a @ a, upper=False)
        self.mp2_energy(a[None], np.array([-1.0]), np.ones(64))

    def gemm(self, a: Tensor, b: Tensor, transpose_a: bool = False) -> Tensor:
        return (a.mT if transpose_a else a) @ b

    def batched_gemm(self, a: Tensor, b: Tensor, transpose_a: bool = False) -> Tensor:
        return torch.bmm(a.mT if transpose_a else a, b)

    def syrk(self, a: Tensor, transpose_a: bool = False) -> Tensor:
        return a.mT @ a if transpose_a else a @ a.mT

    def trsm(self, a: Tensor, b: Tensor) -> Tensor:
        nocc, naux, nvir = b.shape
        columns = b.mT.reshape(nocc * nvir, naux).T  # a view: [P, (i,a)], P contiguous
        torch.linalg.solve_triangular(a, columns, upper=False, out=columns)
        return b

    def ao2mo(self, eri: Tensor, c_occ: Tensor, c_vir: Tensor, out: Tensor) -> None:
        nblock, nao, _ = eri.shape
        nocc, nvir = c_occ.shape[1], c_vir.shape[1]
        half = c_occ.T @ eri.reshape(nblock * nao, nao).T  # [i, (P,m)]
        full = c_vir.T @ half.reshape(nocc * nblock, nao).T  # [a, (i,P)]
        out.mT.copy_(full.reshape(nvir, nocc, nblock).transpose(0, 1))

    def mp2_energy(self, t: Tensor, e_ij: Array, e_vir: Array) -> tuple[Array, Array]:
        if self.device.type == "cpu":
            if self._reducer is None:
                from dfmp2.backends.reduction import PairReducer

                self._reducer = PairReducer(torch.get_num_threads())
            e_os, e_ss = self._reducer(t.numpy(), e_ij, e_vir)
            return e_os, e_ss
        virtual = torch.as_tensor(e_vir, device=self.device)
        occupied = torch.as_tensor(e_ij, device=self.device)
        weight = 1 / (virtual[:, None] + virtual - occupied[:, None, None])
        e_os = -(t.square() * weight).sum((1, 2))
        e_ss = -((t - t.mT).square() * weight).sum((1, 2)) / 2
        return self.to_host(e_os), self.to_host(e_ss)

    def pair_energy(
        self,
        b_i: Tensor,
        b_j: Tensor,
        e_i: Array,
        e_j: Array,
        e_vir: Array,
        diagonal: bool = False,
    ) -> tuple[Array, Array]:
        ni, naux, nvir = b_i.shape
        nj = b_j.shape[0]
        e_os, e_ss = np.zeros((ni, nj)), np.zeros((ni, nj))
        at_once = max(1, min(nj, T_BLOCK_BYTES // (8 * nvir * nvir)))
        memory = torch.empty((at_once * nvir, nvir), dtype=b_i.dtype, device=self.device)
        for i in range(ni):
            for j0 in range(i if diagonal else 0, nj, at_once):
                block = slice(j0, min(j0 + at_once, nj))
                rows = b_j[block].mT.reshape(-1, naux)  # [(j,b), P], a view
                t = torch.mm(rows, b_i[i], out=memory[: len(rows)])
                # T_ij comes out transposed, which neither energy can tell.
                e_os[i, block], e_ss[i, block] = self.mp2_energy(
                    t.view(-1, nvir, nvir), e_i[i] + e_j[block], e_vir
                )
        return e_os, e_ss


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
