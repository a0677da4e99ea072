"""Time the DF-MP2 kernels on three shapes, and two molecules, on a Neuron device.

python examples/trainium/3_benchmark.py [--simulator] [--output FOLDER]

Writes benchmark.PLACE.json. --simulator is a dry run of the small shape and water, without times.
Exit status 7: no device; 3: a result is wrong.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

# This must come before torch is imported: its plugin finds the device library through a program in
# the folder of Python.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
os.environ["DFMP2_REQUIRE_NKI"] = "1"
os.environ.pop("DFMP2_USE_SIMULATOR", None)

import numpy as np
from record import options, prepared

from dfmp2 import DFMP2
from dfmp2.backends.protocol import PairBlock, TBlock
from dfmp2.backends.recording import RecordingBackend
from dfmp2.backends.selection import Selection
from dfmp2.doctor.evidence import Item, timing_text, write
from dfmp2.interfaces.validation import compare as compare_with_pyscf
from dfmp2.kernels import bounds, reference
from dfmp2.kernels.checks import Outcome, compare
from dfmp2.kernels.estimate import SHAPES
from dfmp2.molecules.build import build_mole
from dfmp2.molecules.files import read_geometry
from dfmp2.references.mean_field import read_mean_field
from dfmp2.results.provenance import Provenance

INPUTS = Path(__file__).resolve().parents[2] / "inputs"
MOLECULES = ("benzene", "caffeine")
AUX_BLOCK = 64
BATCH = 8
TOLERANCE = 1e-6  # hartree


class Problem(NamedTuple):
    """`prepare` moves the operands to the device and returns the function that is timed."""

    operation: str
    prepare: Callable[[RecordingBackend], Callable[[], Any]]
    check: Callable[[Any], Outcome]


def problems(nocc: int, nvir: int, naux: int) -> Iterator[Problem]:
    """Each step of DF-MP2 at this size, with a check of a sample of its result."""
    rng = np.random.default_rng([nocc, nvir, naux])
    e_occ, e_vir = -np.linspace(20, 0.5, nocc), np.linspace(0.1, 5, nvir)
    b = rng.standard_normal((nocc, naux, nvir), dtype=np.float32) / np.float32(np.sqrt(naux))
    yield _ao2mo(rng, nocc, nvir, naux)
    yield _trsm(rng, b)
    yield _pair_energy(b, e_occ, e_vir)
    for name, operands in (
        ("gemm", (b[0], b[1])),
        ("syrk", (b[0],)),
        ("batched_gemm", (b[:1], b[:BATCH])),
    ):
        yield _product(name, *operands)
    yield _mp2_energy(b, e_occ, e_vir)


def _ao2mo(rng: np.random.Generator, nocc: int, nvir: int, naux: int) -> Problem:
    """All of (P|ia) in blocks of P; every block has the same integrals."""
    nao = nocc + nvir
    eri = rng.standard_normal((AUX_BLOCK, nao, nao), dtype=np.float32)
    eri += eri.swapaxes(1, 2).copy()
    c = [rng.standard_normal((nao, n), dtype=np.float32) for n in (nocc, nvir)]

    def prepare(backend: RecordingBackend) -> Callable[[], Any]:
        block, coefficients = backend.asarray(eri), [backend.asarray(x) for x in c]
        out = backend.empty_b(nocc, naux, nvir)
        starts = range(0, naux, AUX_BLOCK)

        def work() -> Any:
            for p0 in starts:
                part = out[:, p0 : p0 + AUX_BLOCK]
                backend.ao2mo(block[: part.shape[1]], *coefficients, part)
            return backend.to_host(out[:, starts[-1] : starts[-1] + 1])

        return work

    def check(result: Any) -> Outcome:
        few = (eri[:1], *c)
        expected, limit = reference.ao2mo(*few), bounds.ao2mo(*few)
        return compare(result, expected.reshape(result.shape), limit.reshape(result.shape))

    return Problem("ao2mo", prepare, check)


def _trsm(rng: np.random.Generator, b: Any) -> Problem:
    n = b.shape[1]
    lower = np.tril(rng.standard_normal((n, n)) / n, -1) + np.diag(1 + rng.random(n))

    def prepare(backend: RecordingBackend) -> Callable[[], Any]:
        right = backend.asarray(b.copy())  # trsm overwrites it
        return lambda: backend.to_host(backend.trsm(lower, right)[-1:])

    def check(result: Any) -> Outcome:
        expected = reference.trsm(lower, b[-1])
        return compare(result[0], expected, bounds.triangular(lower, expected))

    return Problem("trsm", prepare, check)


def _pair_energy(b: Any, e_occ: Any, e_vir: Any) -> Problem:
    def prepare(backend: RecordingBackend) -> Callable[[], Any]:
        x = backend.asarray(b)
        block = PairBlock(x, x, e_occ, e_occ, e_vir, e_vir, diagonal=True)
        return lambda: backend.pair_energy(block)

    def check(result: Any) -> Outcome:
        few, e = b[:2].astype(float), e_occ[:2]
        limits = np.zeros((2, 2, 2))
        for i, j in ((0, 0), (0, 1), (1, 1)):
            size = np.abs(few[i]).T @ np.abs(few[j])
            limits[:, i, j] = bounds.energies(
                few[i].T @ few[j], size, b.shape[1], e[i] + e[j], e_vir
            )
        expected = np.asarray(reference.pair_energy(few, few, e, e, e_vir, True))
        return compare(np.asarray(result)[:, :2, :2], expected, limits)

    return Problem("pair_energy", prepare, check)


def _product(name: str, *operands: Any) -> Problem:
    """T blocks: A^T B, or A^T A for one operand."""

    def prepare(backend: RecordingBackend) -> Callable[[], Any]:
        x = [backend.asarray(operand) for operand in operands]
        return lambda: backend.to_host(getattr(backend, name)(*x, True))

    def check(result: Any) -> Outcome:
        left, right = (x.astype(float) for x in (operands[0].swapaxes(-1, -2), operands[-1]))
        return compare(result, left @ right, bounds.product(left, right))

    return Problem(name, prepare, check)


def _mp2_energy(b: Any, e_occ: Any, e_vir: Any) -> Problem:
    t = b[0].T @ b[:BATCH]
    e_ij = e_occ[0] + e_occ[:BATCH]

    def prepare(backend: RecordingBackend) -> Callable[[], Any]:
        x = backend.asarray(t)
        return lambda: backend.mp2_energy(TBlock(x, e_ij, e_vir, e_vir))

    def check(result: Any) -> Outcome:
        limits = [
            bounds.energies(t_n.astype(float), t_n, 0, e, e_vir)
            for t_n, e in zip(t, e_ij, strict=True)
        ]
        expected = np.asarray(reference.mp2_energy(t, e_ij, e_vir))
        return compare(result, expected, np.asarray(limits).T)

    return Problem("mp2_energy", prepare, check)


def shape(selection: Selection, name: str, sizes: tuple[int, int, int]) -> Iterator[Item]:
    """Every kernel at one shape: the first call, which compiles it, and a second one."""
    for problem in problems(*sizes):
        provenance, seconds = Provenance(), {}
        for which in ("first call", "warm call"):
            work = problem.prepare(RecordingBackend(selection.backend, provenance))
            start = time.perf_counter()
            result = work()
            seconds[which] = time.perf_counter() - start
        outcome = problem.check(result)
        facts = {"nocc_nvir_naux": list(sizes), **outcome._asdict()}
        item = Item(f"{problem.operation}, {name}", provenance, outcome.ratio <= 1, seconds, facts)
        line = timing_text(item.what, seconds["warm call"], provenance)
        print(f"{line}; error / bound {outcome.ratio:.1g}", flush=True)
        yield item


def molecule(selection: Selection, name: str) -> Item:
    """The whole calculation of one molecule, and its comparison with PySCF's DF-MP2."""
    from pyscf import scf

    mf = scf.RHF(build_mole(read_geometry(str(INPUTS / f"{name}.xyz")), "cc-pvdz"))
    mf.verbose, mf.conv_tol = 0, 1e-10
    mf.kernel()
    simulated = selection.backend.where.mode == "simulator"
    backend, device = ("simulator", "bundled") if simulated else ("nki", None)
    seconds = {}
    for which in ("first run", "warm run"):
        start = time.perf_counter()
        calculation = DFMP2(mf).set(backend=backend, device=device, verbose=0).run()
        seconds[which] = time.perf_counter() - start
    result = calculation.result
    comparison = compare_with_pyscf(read_mean_field(mf), result, TOLERANCE)
    facts = {
        "e_corr": result.e_corr,
        "difference_from_pyscf": comparison.difference,
        "precision": result.labels["precision"],
    }
    what = f"{name}/cc-pvdz, DF-MP2 with integrals on the host"
    item = Item(what, result.provenance, abs(comparison.difference) <= TOLERANCE, seconds, facts)
    print(timing_text(what, seconds["warm run"], result.provenance), flush=True)
    return item


def main() -> int:
    """Run everything. The exit status is 0 if all results are right."""
    chosen = options("Time the kernels and two molecules.")
    selection, place = prepared(chosen.simulator)
    items: list[Item] = []
    for name in ("small",) if chosen.simulator else SHAPES:
        items += shape(selection, name, SHAPES[name])
    for name in ("water",) if chosen.simulator else MOLECULES:
        items.append(molecule(selection, name))
    path = chosen.output / f"benchmark.{place}.json"
    content = write(path, "3_benchmark.py", items)
    print(f"{path}: mode {content['mode']}, passed {content['passed']}")
    return 0 if content["passed"] else 3


if __name__ == "__main__":
    sys.exit(main())
