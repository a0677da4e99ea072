"""Work, traffic, memory and programs of the kernels, counted by the simulator.

The problem of the acceptance figures is *medium*: 64 occupied, 448 virtual, 1536 auxiliary
orbitals, on one trn1 core. All times are estimates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfmp2.errors import InputError
from dfmp2.kernels.estimate import ESTIMATED, OPEN_SHELL, SHAPES, Estimate, Tracer, estimate
from dfmp2.kernels.instances import INSTANCES, Instance, groups_of_orbitals, share
from dfmp2.kernels.launch import Launcher
from dfmp2.kernels.limits import INSTRUCTIONS, LEAST_INSTRUCTIONS, OFFSET_BYTES, PSUM_BANK_F32
from dfmp2.kernels.mp2_energy import mp2_energy
from dfmp2.kernels.pair_energy import pair_energy
from dfmp2.kernels.simulator import generation

NOCC, NVIR, NAUX = SHAPES["medium"]
PAIRS = NOCC * (NOCC + 1) // 2
SLOTS = NOCC * (NOCC // 2 + 1)
B_ORBITAL = NAUX * NVIR * 4


BEFORE = {
    ("trn1", "small"): (0.0022024, 0.0012988, 0.034214, 0.20745, 0.082086, 0.1529),
    ("trn1", "medium"): (0.033129, 0.020846, 3.1949, 9.4475, 17.653, 68.26),
    ("trn1", "large"): (0.10368, 0.066651, 15.873, 33.923, 87.524, 503.52),
    ("trn2", "small"): (0.0016278, 0.00096, 0.025288, 0.15333, 0.095767, 0.11301),
    ("trn2", "medium"): (0.03584, 0.02432, 3.7274, 6.983, 20.595, 77.665),
    ("trn2", "large"): (0.12096, 0.07776, 18.386, 28.829, 102.11, 578.22),
    ("trn3", "small"): (0.0011345, 0.00066909, 0.01792, 0.10687, 0.076613, 0.09408),
    ("trn3", "medium"): (0.03584, 0.02432, 3.7274, 4.928, 16.476, 77.665),
    ("trn3", "large"): (0.12096, 0.07776, 18.386, 28.829, 81.689, 578.22),
}
"""Optimistic estimates (ms) of `ESTIMATED` when programs had at most 6,144 instructions."""


tracer = cache(Tracer)


@cache
def limited(kernel: str, sizes: tuple[int, int, int], target: str, limit: int) -> Estimate:
    """The estimate with programs of at most `limit` instructions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DFMP2_NKI_INSTRUCTIONS", str(limit))
        return estimate(kernel, *sizes, target, tracer(target))


@pytest.fixture(scope="module")
def medium() -> Estimate:
    """pair_energy of the medium problem on trn1."""
    return limited("pair_energy", SHAPES["medium"], "trn1", INSTRUCTIONS["trn1"])


def test_matmul_cycles(medium: Estimate) -> None:
    """TensorE does little more than one float32 product per pair."""
    ideal = PAIRS * math.ceil(NVIR / 128) * math.ceil(NAUX / 128) * NVIR * 4
    assert ideal <= medium.total(lambda a: a.matmul_cycles) <= 1.10 * ideal


def test_few_pairs_repeated(medium: Estimate) -> None:
    """Multiply-adds, padding included, show how many pairs were multiplied."""
    pairs = medium.total(lambda a: a.matmul_macs) / (NAUX * NVIR * NVIR)
    assert PAIRS <= pairs <= 1.02 * PAIRS


def test_transposes_are_few(medium: Estimate) -> None:
    """Mirrored blocks cost about a twentieth of the products."""
    cycles = medium.total(lambda a: a.transpose_cycles)
    assert 0 < cycles <= 0.06 * medium.total(lambda a: a.matmul_cycles)


def test_hbm_traffic(medium: Estimate) -> None:
    """B_j once per pair, B_i once per task, tables; nothing else within 25 %."""
    assert medium.hbm_bytes == pytest.approx(SLOTS * B_ORBITAL, rel=0.25)


def test_t_never_reaches_hbm(medium: Estimate) -> None:
    """Only three numbers per pair and partition are written."""
    written = medium.total(lambda a: a.dma.hbm_written)
    assert written == SLOTS * 3 * 112 * 4
    assert written < PAIRS * NVIR**2 * 4 / 100


def test_device_time(medium: Estimate) -> None:
    """The energy step of the medium problem, launches not included."""
    assert medium.device_ms <= 110


def test_hbm_is_read_in_long_rows(medium: Estimate) -> None:
    """Nearly all bytes move in descriptors of 4 KiB and more, which saturate the queues."""
    (_, account), *_ = medium.programs.values()
    long = sum(size * n for size, n in account.dma.descriptors.items() if size >= 4096)
    assert long >= 0.99 * (account.dma.hbm_read + account.dma.hbm_written)


def _programs() -> Iterator[Any]:
    """Each kernel at each size; the largest programs of the largest sizes are slow."""
    for kernel in ESTIMATED:
        # trn1 has the smallest memory, so its largest programs are the ones that might not fit.
        for shape in SHAPES:
            slow = shape == "large" or (shape, kernel) == ("medium", OPEN_SHELL)
            marks = [pytest.mark.slow] * slow
            yield pytest.param(kernel, "trn1", shape, INSTRUCTIONS["trn1"], marks=marks)
        for target, shape in BEFORE:
            yield pytest.param(kernel, target, shape, LEAST_INSTRUCTIONS)


@pytest.mark.parametrize(("kernel", "target", "shape", "limit"), [*_programs()])
def test_programs_fit(kernel: str, shape: str, target: str, limit: int) -> None:
    """At most two programs per kernel and run, each bounded in instructions and memory.

    No optimistic estimate is more than 5 % above what it was with small programs.
    """
    result = limited(kernel, SHAPES[shape], target, limit)
    assert 1 <= len(result.programs) <= 2
    assert result.instructions <= limit
    # An open shell has at most four times as many pairs as a closed one.
    times, kernel = (4, "pair_energy") if kernel == OPEN_SHELL else (1, kernel)
    if shape == "medium" and limit > LEAST_INSTRUCTIONS:
        assert result.launches <= 4 * times  # each costs milliseconds that no estimate contains
    before = times * BEFORE[target, shape][ESTIMATED.index(kernel)]
    assert result.device_ms <= 1.05 * before
    assert result.device_ms <= result.pessimistic_ms
    for _, account in result.programs.values():
        chip = generation(target)
        assert account.sbuf_peak <= chip.sbuf_usable_bytes
        assert account.psum_peak <= chip.psum_banks * chip.psum_bank_bytes
        assert not account.unproven


@pytest.mark.parametrize("shape", ["medium", "large"])
def test_operands_are_double_buffered(shape: str) -> None:
    """SBUF holds B_i, two B_j and S at once, on trn1 too; PSUM overlaps strips."""
    _, nvir, naux = SHAPES[shape]
    result = limited("pair_energy", SHAPES[shape], "trn1", LEAST_INSTRUCTIONS)
    (_, account), *_ = result.programs.values()
    b_tile, s_tile = naux * nvir * 4 // 128, nvir * nvir * 4 // 112
    assert account.sbuf_peak >= 3 * b_tile + s_tile
    assert account.psum_peak >= 4 * PSUM_BANK_F32 * 4


def test_streamed_form_fits() -> None:
    """For a B much larger than SBUF, programs are bounded and fit."""
    result = limited("pair_energy", (10, 1000, 6000), "trn1", LEAST_INSTRUCTIONS)
    assert list(result.programs) == [
        k for k in result.programs if k.startswith("pair_energy_streamed")
    ]
    assert result.instructions <= LEAST_INSTRUCTIONS
    (_, account), *_ = result.programs.values()
    assert account.sbuf_peak <= generation("trn1").sbuf_usable_bytes


def _pair_programs_fit(nocc: int, nvir: int, naux: int, limit: int) -> None:
    result = limited("pair_energy", (nocc, nvir, naux), "trn1", limit)
    # Pairs within a group, of two groups, and of the last group, which may be shorter.
    groups = groups_of_orbitals("trn1", nocc, nvir, naux)
    assert len(result.programs) <= (1 if groups.number == 1 else 4)
    assert result.instructions <= limit


@settings(max_examples=16, deadline=None, derandomize=True, database=None)
@given(st.integers(1, 150), st.integers(1, 1500), st.integers(1, 9000))
def test_pair_programs_of_any_size_fit(nocc: int, nvir: int, naux: int) -> None:
    """Any molecule needs one program that fits trn1 (the trace refuses overflow)."""
    _pair_programs_fit(nocc, nvir, naux, LEAST_INSTRUCTIONS)


@settings(max_examples=8, deadline=None, derandomize=True, database=None)
@given(st.integers(1, 60), st.integers(1, 1500), st.integers(1, 1500), st.integers(1, 9000))
def test_pair_programs_of_two_spins_fit(nocc: int, nvir: int, nvir_b: int, naux: int) -> None:
    """As above, where each spin has virtual orbitals of its own."""
    torch = pytest.importorskip("torch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DFMP2_NKI_INSTRUCTIONS", str(LEAST_INSTRUCTIONS))
        counted = Launcher(tracer("trn1"))
        b = [torch.empty((nocc, naux, n), device="meta") for n in (nvir, nvir_b)]
        e = [np.ones(n) for n in (nocc, nvir, nvir_b)]
        pair_energy(*b, -e[0], -e[0], e[1], e_b=e[2], launch=counted)
    assert len(counted.programs) <= (1 if b[0].nbytes + b[1].nbytes < OFFSET_BYTES else 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DFMP2_NKI_INSTRUCTIONS", str(LEAST_INSTRUCTIONS))
        t = torch.empty((nocc, nvir, nvir_b), device="meta")
        mp2_energy(t, -2 * e[0], e[1], e[2], launch=counted)
    accounts = [tracer("trn1").accounts[key] for key in counted.programs]
    assert all(account.instructions <= LEAST_INSTRUCTIONS for account in accounts)


@pytest.mark.parametrize(
    ("nocc", "nvir", "naux"),
    [(150, 100, 120), (20, 640, 2300)],  # many partners of small tiles; three tiles of B just fit
)
def test_large_pair_programs_fit(nocc: int, nvir: int, naux: int) -> None:
    """The sums of a task grow with its partners, the tables with the tasks of a launch."""
    _pair_programs_fit(nocc, nvir, naux, INSTRUCTIONS["trn1"])


def test_b_beyond_32_bits_is_split_and_the_trace_accepts_it() -> None:
    """128/1536/6144: 4.5 GiB. The simulator refuses run-time offsets into 4 GiB and more."""
    groups = groups_of_orbitals("trn1", 128, 1536, 6144)
    assert groups == (2, 64)
    assert groups.size * 1536 * 6144 * 4 < OFFSET_BYTES
    result = limited("pair_energy", (128, 1536, 6144), "trn1", LEAST_INSTRUCTIONS)
    assert len(result.programs) == 2
    assert all("float32[256, 6144, 384]" in key for key in result.programs)


def test_pessimistic_estimate_counts_instructions(medium: Estimate) -> None:
    """200 ns for every instruction of VectorE, whatever it works on."""
    (_, account), *_ = medium.programs.values()
    vector = sum(n for (engine, _), n in account.program.items() if engine == "vector")
    more = account.busy_us(pessimistic=True)["vector"] - account.busy_us()["vector"]
    assert more == pytest.approx(0.2 * vector)


@pytest.mark.parametrize("instance", INSTANCES, ids=lambda i: i.name)
def test_cores_share_the_pairs(instance: Instance, medium: Estimate) -> None:
    """Together they do every pair, and each has the whole B first."""
    found = share(medium, instance, NOCC, NVIR, NAUX)
    assert PAIRS <= found.pairs * instance.cores < PAIRS + instance.cores
    assert found.device_ms == pytest.approx(medium.device_ms * found.pairs / PAIRS)
    assert found.b_ms == pytest.approx(NOCC * B_ORBITAL / 2.8e6)
    assert found.b_in_turn_ms == pytest.approx(instance.cores * found.b_ms)
    assert found.fits
    assert not share(medium, instance, 500, 1536, 6144).fits  # 17.6 GiB


def test_unknown_kernel() -> None:
    """The error lists the kernels that can be estimated."""
    with pytest.raises(InputError, match="choose from gemm"):
        estimate("conv", 1, 1, 1)
