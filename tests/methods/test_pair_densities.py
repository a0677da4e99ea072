"""Densities and dE/dB beside finite differences of an energy that is written independently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from dfmp2.backends.amplitudes import (
    AmplitudeBlock,
    NearOccupied,
    NearPairs,
    PairWeights,
    overlaps,
    reduced,
)
from dfmp2.backends.launching import SimulatorRunner
from dfmp2.backends.nki import NkiBackend
from dfmp2.backends.protocol import PairCase
from dfmp2.backends.recording import RecordingBackend
from dfmp2.backends.torch import TorchBackend
from dfmp2.errors import CheckpointError, InputError
from dfmp2.kernels import simulator
from dfmp2.methods.pair_densities import (
    NEAR,
    PairDensities,
    keep_energies,
    pair_densities,
    weights_of,
)
from dfmp2.methods.pair_energies import pair_energies
from dfmp2.planning.gradient import with_gradient
from dfmp2.planning.plan import make_plan
from dfmp2.references.reference import Reference, SpinBlock
from dfmp2.results.provenance import Provenance
from dfmp2.results.sizes import Sizes
from dfmp2.results.stages import Precision
from dfmp2.results.variants import Weights
from dfmp2.runfile.checkpoint import Checkpoint
from dfmp2.settings import Settings
from dfmp2.tensors.held import InMemory
from dfmp2.tensors.problem import Problem, Work

NAUX = 9

METHODS = {
    "plain": Weights(),
    "scs": Weights(6 / 5, 1 / 3),
    "opposite": Weights(1.3, 0.0),
    "same": Weights(0.0, 1.76),
    "kappa": Weights(kappa=1.45),
    "weak kappa": Weights(1.0, 0.5, 8.0),
}

CLOSED = [(([-1.2, -0.7, -0.7 + NEAR / 3, -0.5, -0.5], [0.2, 0.2, 0.31, 0.8, 0.8 + NEAR / 2, 1.5]))]
OPEN = [
    ([-1.3, -0.7, -0.7, -0.4], [0.25, 0.25, 0.9, 1.1, 1.1 + NEAR / 5]),
    ([-1.1, -0.6, -0.6], [0.1, 0.3, 0.3, 0.8, 0.8, 1.4]),
]
"""Orbital energies with equal and almost equal ones, as in molecules of high symmetry."""


class Case:
    """Random B with given orbital energies."""

    def __init__(self, levels: Any, block: int = 8) -> None:
        rng = np.random.default_rng(5)
        self.levels = [(np.array(occ), np.array(vir)) for occ, vir in levels]
        self.b = [0.2 * rng.normal(size=(len(o), NAUX, len(v))) for o, v in self.levels]
        spins = tuple(
            SpinBlock(np.zeros((1, len(o))), np.zeros((1, len(v))), o, v) for o, v in self.levels
        )
        none: Any = ((),) * len(spins)
        self.reference = Reference(None, "rhf", 0.0, spins, none, none)
        sizes = Sizes.of(1, [(len(o), len(v)) for o, v in self.levels], NAUX)
        plan = with_gradient(make_plan(sizes, 1000.0))
        assert plan.gradient is not None
        self.plan = replace(plan, gradient=replace(plan.gradient, block=block))

    def work(self, on_nki: bool = False, kappas: int = 0) -> Work:
        host = TorchBackend("cpu")
        runner = SimulatorRunner(simulator.simulate, "bundled simulator")
        backend: Any = NkiBackend(runner) if on_nki else host
        checkpoint, provenance = Checkpoint(None, self.reference.nocc, kappas=kappas), Provenance()
        checkpoint.begin(provenance, backend.where, Precision.FP64, 1e-6)
        return Work(RecordingBackend(backend, provenance, host), checkpoint)

    def held(self, work: Work) -> InMemory:
        tensors = []
        for b in self.b:
            tensors.append(work.backend.empty_b(*b.shape))
            tensors[-1][...] = work.backend.asarray(b)
        return InMemory(tensors, work.backend.current)

    def problem(self, **settings: Any) -> Problem:
        nothing: Any = None
        return Problem(Settings(**settings), self.reference, nothing, nothing, self.plan)

    def computed(self, weights: Weights) -> PairDensities:
        work = self.work()
        return pair_densities(self.held(work), self.problem(), work, weights)

    def gamma(self, found: PairDensities) -> list[Any]:
        parts, first = [], 0
        for b in self.b:
            parts.append(found.gamma.some(np.arange(first, first + len(b))))
            first += len(b)
        return parts


def energy(focks: Sequence[Any], b: Sequence[Any], weights: Weights) -> float:
    """E(F, B) for Fock matrices that need not be diagonal, from its definition."""
    levels, rotated = [], []
    for (occ, vir), own in zip(focks, b, strict=True):
        (e_i, u_i), (e_a, u_a) = np.linalg.eigh(occ), np.linalg.eigh(vir)
        levels.append((e_i, e_a))
        rotated.append(np.einsum("iPa,ij,ab->jPb", own, u_i, u_a))

    def part(s: int, t: int) -> tuple[float, float]:
        (e_i, e_a), (e_j, e_b) = levels[s], levels[t]
        v = np.einsum("iPa,jPb->ijab", rotated[s], rotated[t])
        gap = e_a[:, None] + e_b - e_i[:, None, None, None] - e_j[:, None, None]
        f = 1 / gap
        if weights.kappa is not None:
            f = (1 - np.exp(-weights.kappa * gap)) ** 2 / gap
        exchanged = (v - v.swapaxes(2, 3)) ** 2 if s == t else np.zeros(())
        return float((f * v**2).sum()), float((f * exchanged).sum())

    if len(b) == 1:
        squares, differences = part(0, 0)
        return -weights.opposite * squares - weights.same * differences / 2
    same = part(0, 0)[1] + part(1, 1)[1]
    return -weights.opposite * part(0, 1)[0] - weights.same * same / 4


def slope(function: Any, step: float = 1e-3) -> float:
    """Derivative at zero by four points."""
    values = [function(n * step) for n in (-2, -1, 1, 2)]
    return float(np.dot([1, -8, 8, -1], values) / (12 * step))


SLOPE = 1e-10
"""Error of the slope: h^4/30 of the fifth derivative along a short direction, and rounding."""


@pytest.mark.parametrize("block", [8, 2, 1])
@pytest.mark.parametrize("levels", [CLOSED, OPEN], ids=["closed", "open"])
@pytest.mark.parametrize("method", METHODS)
def test_derivatives_agree_with_finite_differences(method: str, levels: Any, block: int) -> None:
    """Without it a density could lack a factor, a spin, a frozen scale or its near orbitals.

    Blocks of one or two orbitals separate orbitals of the same energy.
    """
    case, weights = Case(levels, block), METHODS[method]
    found, rng = case.computed(weights), np.random.default_rng(11)
    focks = [(np.diag(occ), np.diag(vir)) for occ, vir in case.levels]
    gammas = case.gamma(found)
    for number, own in enumerate(found.spins):
        for place, p in ((0, own.p_occ), (1, own.p_vir)):
            direction = rng.normal(size=p.shape)
            direction = (direction + direction.T) / 10

            def shifted(x: float) -> float:
                moved = [list(pair) for pair in focks]
                moved[number][place] = moved[number][place] + x * direction  # noqa: B023
                return energy(moved, case.b, weights)

            assert np.sum(p * direction) == pytest.approx(slope(shifted), abs=SLOPE)
            np.testing.assert_allclose(p, p.T, rtol=0, atol=1e-15)
        turn = rng.normal(size=case.b[number].shape) / 10

        def stretched(x: float) -> float:
            b = list(case.b)
            b[number] = b[number] + x * turn  # noqa: B023
            return energy(focks, b, weights)

        assert np.sum(gammas[number] * turn) == pytest.approx(slope(stretched), abs=SLOPE)


@pytest.mark.parametrize("levels", [CLOSED, OPEN], ids=["closed", "open"])
def test_pair_energies_come_with_the_densities(levels: Any) -> None:
    """Without it a gradient would need a second pass for its energies, or print other ones."""
    case, kappas = Case(levels, block=2), (1.1, 1.45)
    work = case.work(kappas=2)
    problem = case.problem(kappa=kappas)
    found = pair_densities(case.held(work), problem, work, Weights())
    work = case.work(kappas=2)
    expected = pair_energies(case.held(work), problem, work)
    np.testing.assert_allclose(found.energies, expected, rtol=0, atol=1e-14)
    work = case.work(kappas=2)
    np.testing.assert_array_equal(keep_energies(found, work), found.energies)
    assert not work.checkpoint.table.missing.any()


def test_gamma_in_a_file_is_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Without it a gradient with little memory could lose contributions; its file must go."""
    from pyscf import lib

    monkeypatch.setattr(lib.param, "TMPDIR", str(tmp_path))
    for levels in (CLOSED, OPEN):
        case = Case(levels, block=2)
        expected = case.computed(METHODS["scs"])
        assert case.plan.gradient is not None
        case.plan = replace(case.plan, gradient=replace(case.plan.gradient, in_memory=False))
        found = case.computed(METHODS["scs"])
        for one, other in zip(case.gamma(found), case.gamma(expected), strict=True):
            np.testing.assert_array_equal(one, other)
        for own, there in zip(found.spins, expected.spins, strict=True):
            np.testing.assert_array_equal(own.p_occ, there.p_occ)
        assert not list(tmp_path.iterdir())
        found.gamma.close()
    monkeypatch.setattr(lib.param, "TMPDIR", str(tmp_path / "none"))
    with pytest.raises(CheckpointError, match="PYSCF_TMPDIR"):
        case.computed(METHODS["scs"])


@pytest.mark.parametrize("method", ["scs", "kappa"])
@pytest.mark.parametrize("case", PairCase)
def test_compiled_amplitudes_agree_with_operations_of_torch(case: PairCase, method: str) -> None:
    """The compiled loops walk T in tiles; without it their edges could be wrong.

    The operations of torch are those of a GPU, too.
    """
    rng, nj, ni, place = np.random.default_rng(3), 3, 4, (1, 1)
    na, nb = 131, 70 if case is PairCase.OPPOSITE_SPIN else 131
    e_a, e_b = (np.sort(rng.uniform(0.1, 3.0, n)) for n in (na, nb))
    if na == nb:
        e_b = e_a
    for diagonal in (False, True) if na == nb else (False,):
        t = rng.normal(size=(nj, nb, na))
        if diagonal:
            t[0] += t[0].T
        block = AmplitudeBlock(
            t=torch.from_numpy(t),
            e_i=-0.5,
            e_j=rng.uniform(-2, -0.4, nj),
            e_a=e_a,
            e_b=e_b,
            near_a=NearPairs.of(e_a, 0.02),
            near_b=NearPairs.of(e_b, 0.02),
            weights=PairWeights.of(METHODS[method], case),
            place=place,
            diagonal=diagonal,
        )
        tiles = [torch.zeros((4, nb, ni, na), dtype=torch.float64) for _ in range(2)]
        found = TorchBackend("cpu").amplitudes(block, tiles[0])
        expected = reduced(block, tiles[1])
        assert len(found.near_a) > 10
        torch.testing.assert_close(*tiles, rtol=1e-12, atol=1e-12)
        for one, other in zip(vars(found).values(), vars(expected).values(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)
    w = torch.from_numpy(rng.normal(size=(4, nb, ni, na)))
    for of_j in (False, True):
        near = NearOccupied(
            pairs=np.array([[0, 2], [1, 3]]),
            of_j=of_j,
            e_pairs=np.array([-0.5, -0.9]),
            e_partners=rng.uniform(-2, -0.4, 4),
            e_a=e_a,
            e_b=e_b,
            weights=PairWeights.of(METHODS[method], case),
        )
        found = TorchBackend("cpu").overlaps(near, w)
        np.testing.assert_allclose(found, overlaps(near, w), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("levels", [CLOSED, OPEN], ids=["closed", "open"])
def test_float32_products_stay_close(levels: Any) -> None:
    """With T and W in float32, differences of X between near orbitals would have no digits."""
    case, weights = Case(levels, block=2), METHODS["scs"]
    exact = case.computed(weights)
    for on_nki in (False, True):
        work = case.work(on_nki)
        held = case.held(case.work())
        rough = pair_densities(held, case.problem(), work, weights, single=True)
        for one, other in zip(rough.spins, exact.spins, strict=True):
            size = max(np.abs(other.p_occ).max(), np.abs(other.p_vir).max())
            assert 0 < np.abs(one.p_occ - other.p_occ).max() < 2e-5 * size
            assert np.abs(one.p_vir - other.p_vir).max() < 2e-5 * size
        for left, right in zip(case.gamma(rough), case.gamma(exact), strict=True):
            np.testing.assert_allclose(left, right, rtol=0, atol=2e-6 * np.abs(right).max())
        rows = {(row.operation, row.where.mode) for row in work.backend.provenance.operations}
        assert ("gemm", "simulator" if on_nki else "cpu") in rows
        assert ("amplitudes", "cpu") in rows


def test_methods_by_name() -> None:
    """Without it a gradient could be that of another method than the energy that is printed."""
    settings = Settings(kappa=(1.45,), scale=(1.1, 0.4))
    assert weights_of("SCS-MP2", settings) == Weights(6 / 5, 1 / 3)
    assert weights_of("kappa-MP2(1.45)", settings) == Weights(kappa=1.45)
    assert weights_of("scaled-MP2(1.1,0.4)", settings) == Weights(1.1, 0.4)
    with pytest.raises(InputError, match=r"MP3.*SCS-MP2"):
        weights_of("MP3", settings)
