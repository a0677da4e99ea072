"""Work, traffic, memory and programs of the kernels, counted by the simulator.

The problem of the acceptance figures is *medium*: 64 occupied, 448 virtual, 1536 auxiliary
orbitals, on one trn1 core. All times are estimates.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfmp2.errors import InputError
from dfmp2.kernels.estimate import ESTIMATED, SHAPES, Estimate, estimate
from dfmp2.kernels.limits import INSTRUCTION_LIMIT, PSUM_BANK_F32
from dfmp2.kernels.simulator import generation

NOCC, NVIR, NAUX = SHAPES["medium"]
PAIRS = NOCC * (NOCC + 1) // 2
SLOTS = NOCC * (NOCC // 2 + 1)
B_ORBITAL = NAUX * NVIR * 4


@pytest.fixture(scope="module")
def medium() -> Estimate:
    """pair_energy of the medium problem on trn1."""
    return estimate("pair_energy", NOCC, NVIR, NAUX, "trn1")


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


@pytest.mark.parametrize("target", ["trn1", "trn2", "trn3"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kernel", ESTIMATED)
def test_programs_fit(kernel: str, shape: str, target: str) -> None:
    """At most two programs per kernel and run, each bounded in instructions and memory."""
    result = estimate(kernel, *SHAPES[shape], target)
    assert 1 <= len(result.programs) <= 2
    assert result.instructions <= INSTRUCTION_LIMIT
    for _, account in result.programs.values():
        chip = generation(target)
        assert account.sbuf_peak <= chip.sbuf_usable_bytes
        assert account.psum_peak <= chip.psum_banks * chip.psum_bank_bytes
        assert not account.unproven


@pytest.mark.parametrize("shape", ["medium", "large"])
def test_operands_are_double_buffered(shape: str) -> None:
    """SBUF holds B_i, two B_j and S at once, on trn1 too; PSUM overlaps strips."""
    nocc, nvir, naux = SHAPES[shape]
    (_, account), *_ = estimate("pair_energy", nocc, nvir, naux, "trn1").programs.values()
    b_tile, s_tile = naux * nvir * 4 // 128, nvir * nvir * 4 // 112
    assert account.sbuf_peak >= 3 * b_tile + s_tile
    assert account.psum_peak >= 4 * PSUM_BANK_F32 * 4


def test_streamed_form_fits() -> None:
    """For a B much larger than SBUF, programs are bounded and fit."""
    result = estimate("pair_energy", 10, 1000, 6000, "trn1")
    assert list(result.programs) == [
        k for k in result.programs if k.startswith("pair_energy_streamed")
    ]
    assert result.instructions <= INSTRUCTION_LIMIT
    (_, account), *_ = result.programs.values()
    assert account.sbuf_peak <= generation("trn1").sbuf_usable_bytes


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(st.integers(1, 150), st.integers(1, 1500), st.integers(1, 9000))
def test_pair_programs_of_any_size_fit(nocc: int, nvir: int, naux: int) -> None:
    """Any molecule needs one program that fits trn1 (the trace refuses overflow)."""
    result = estimate("pair_energy", nocc, nvir, naux, "trn1")
    assert len(result.programs) == 1
    assert result.instructions <= INSTRUCTION_LIMIT


def test_unknown_kernel() -> None:
    """The error lists the kernels that can be estimated."""
    with pytest.raises(InputError, match="choose from gemm"):
        estimate("conv", 1, 1, 1)
