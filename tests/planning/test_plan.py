"""Forecasts and block sizes as a function of sizes and budget."""

from __future__ import annotations

import re
import tracemalloc

import numpy as np
import pytest

from dfmp2 import DFMP2
from dfmp2.errors import InputError, ResourceError
from dfmp2.integrals.fock_probe import FockProbe, vectors
from dfmp2.planning.plan import OVERHEAD, gemm_width, make_plan
from dfmp2.references.solution import ScfSolution
from dfmp2.results.sizes import Sizes
from tests.systems import mean_field, molecule, planned

BENZENE = Sizes(nao=264, nocc=21, nvir=243, naux=654, aux_shell=11)
LARGE = Sizes(nao=1000, nocc=100, nvir=900, naux=3000, aux_shell=11)


def test_same_input_same_plan() -> None:
    assert make_plan(BENZENE, 4000.0, 2) == make_plan(BENZENE, 4000.0, 2)


def test_b_is_counted_exactly() -> None:
    plan = make_plan(BENZENE, 4000.0)
    assert plan.memory["B[i,P,a]"] == pytest.approx(8 * 21 * 243 * 654 / 1e6)
    assert plan.peak >= plan.memory["B[i,P,a]"] + OVERHEAD / 1e6


@pytest.mark.parametrize(
    ("nvir", "width"),
    [
        (1, 1),
        (23, 23),
        (24, 24),
        (70, 70),
        (71, 72),
        (190, 192),
        (243, 243),
        (380, 384),
        (530, 530),
    ],
)
def test_padding_of_b_for_the_gemm(nvir: int, width: int) -> None:
    """With padding each thread holds its own padded B_i, which the forecast must count."""
    assert gemm_width(nvir) == width
    sizes = Sizes(nao=nvir + 10, nocc=10, nvir=nvir, naux=4 * nvir, aux_shell=9)
    own = 8 * width * 4 * nvir if width > nvir else 0
    block = max(10**6, 8 * nvir * width)
    assert make_plan(sizes, 4000.0, 3).memory["T blocks"] == pytest.approx(3 * (block + own) / 1e6)


def test_flops_are_those_of_the_formulas() -> None:
    plan = make_plan(BENZENE, 4000.0)
    assert plan.flops["AO->MO"] == 2 * 654 * 264 * 21 * (264 + 243)
    assert plan.flops["metric solve"] == 654 * 654 * 21 * 243
    assert plan.flops["pair energies"] == 21 * 22 // 2 * 243 * 243 * (2 * 654 + 8)


def test_each_thread_has_as_much_work_in_a_block_of_pairs_with_more_threads() -> None:
    """Threads wait for the last one of each block. With blocks of one size, many would wait."""
    one, many = (make_plan(LARGE, 4e4, threads).occ_block for threads in (1, 16))
    assert many == pytest.approx(4 * one, rel=0.2)  # a block has occ_block^2 pairs


@pytest.mark.parametrize("sizes", [BENZENE, LARGE, Sizes(7, 1, 6, 30, 5), Sizes(2, 1, 1, 1)])
@pytest.mark.parametrize("slack", [0, 1, 100, 100_000])
def test_plan_keeps_its_budget(sizes: Sizes, slack: int) -> None:
    with pytest.raises(ResourceError) as caught:
        make_plan(sizes, 1.0)
    needed = int(re.search(r"at least (\d+) MB", str(caught.value))[1])
    plan = make_plan(sizes, float(needed + slack))
    assert plan.peak <= needed + slack
    assert min(sizes.aux_shell, sizes.naux) <= plan.aux_block <= sizes.naux
    assert 1 <= plan.occ_block <= sizes.nocc
    if needed > 1:
        with pytest.raises(ResourceError):
            make_plan(sizes, float(needed - 1))


@pytest.mark.parametrize(
    ("nocc", "nvir", "naux", "block"),
    [(64, 448, 1536, 64), (96, 672, 2304, 96), (128, 1536, 6144, 16), (100, 1536, 6144, 25),
     (1, 10**5, 10**6, 1), (0, 1, 1, 1)],
)  # fmt: skip
def test_blocks_of_nki_kernels_are_large(nocc: int, nvir: int, naux: int, block: int) -> None:
    """All pairs, unless torch would work for more than minutes on a block that failed."""
    assert make_plan(Sizes(nocc + nvir, nocc, nvir, naux), 1e9).nki_block == block


def test_each_thread_has_a_shell_of_its_own() -> None:
    """Without it, threads would wait where a block has fewer shells than there are threads."""
    assert make_plan(LARGE, 9000.0, threads=64).aux_block >= 64 * LARGE.aux_shell


def test_more_memory_never_means_smaller_blocks() -> None:
    blocks = [make_plan(LARGE, budget).aux_block for budget in (2400.0, 2500.0, 2600.0, 9000.0)]
    assert blocks == sorted(blocks)


@pytest.mark.parametrize("budget", [0.0, -5.0])
def test_budget_that_is_not_positive(budget: float) -> None:
    with pytest.raises(ResourceError, match="needs at least"):
        make_plan(BENZENE, budget)


def test_nothing_to_correlate_needs_no_b() -> None:
    plan = make_plan(Sizes(nao=1, nocc=1, nvir=0, naux=10), 4000.0)
    assert plan.memory["B[i,P,a]"] == 0
    assert plan.flops["pair energies"] == 0


def test_check_of_the_fock_matrix_is_counted() -> None:
    """For few virtual orbitals its arrays are as large as B, so the limit was not kept."""
    nao, nocc, naux = 300, 80, 900
    solution = ScfSolution(
        mol=molecule("He 0 0 0"),
        kind="RHF",
        e_tot=0.0,
        mo_coeff=np.eye(nao),
        mo_energy=np.linspace(-1.0, 1.0, nao),
        mo_occ=np.where(np.arange(nao) < nocc, 2.0, 0.0),
        conv_tol=0.0,
    )
    tracemalloc.start()
    probe = FockProbe(solution, np.zeros((nao, nao)), naux)
    held = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    assert not probe.complete
    plain = Sizes(nao, nocc, nao - nocc, naux, 9)
    checked = Sizes(nao, nocc, nao - nocc, naux, 9, checked=((vectors(nao), nocc),))
    plan = make_plan(checked, 4000.0)
    forecast = plan.memory["check of the Fock matrix"]
    assert 0.8 * forecast < held < forecast
    assert plan.peak >= make_plan(plain, 4000.0).peak + forecast
    least = make_plan(checked, 4000.0).least_in_memory
    assert make_plan(checked, least).peak <= least


@pytest.mark.parametrize("frozen", [None, 1])
def test_whether_the_check_is_made(frozen: int | None) -> None:
    """Before and after the SCF. Frozen orbitals are in the Fock matrix."""
    mf = mean_field("water")
    assert DFMP2(mf, frozen=frozen).plan().sizes.checked == ((12, 5),)
    options = {"frozen": frozen, "scf_algorithm": "direct"}
    assert planned("water", "cc-pvdz", **options).known.plan.sizes.checked == ((12, 5),)
    assert DFMP2(mf).set(check_reference="off").plan().sizes.checked == ()


@pytest.mark.parametrize("limit", [float("inf"), float("nan")])
def test_limit_that_is_not_finite(limit: float) -> None:
    """Infinity and NaN would end as errors of arithmetic, without the name of the option."""
    with pytest.raises(InputError, match="finite number of MB"):
        make_plan(BENZENE, limit)
