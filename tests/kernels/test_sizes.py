"""Every kernel against its definition, at sizes around the edges of tiles and panels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfmp2.errors import ResourceError
from dfmp2.kernels import pair_plan
from dfmp2.kernels.checks import CHECKS
from dfmp2.kernels.launch import Launch, Launcher
from dfmp2.kernels.limits import INSTRUCTIONS

PARTITION = (1, 127, 128, 129, 259)  # 1, tile - 1, tile, tile + 1, 2 tile + 3
BANK = (1, 511, 512, 513, 1027)
PACKED = (31, 32, 33, 63, 64, 65)  # edges of the packed products


def _vary(base: tuple[int, ...], edges: dict[int, tuple[int, ...]]) -> list[tuple[int, ...]]:
    """`base` with each named dimension at each of its edges, and all of them at their last."""
    cases = [base]
    for position, sizes in edges.items():
        cases += [(*base[:position], n, *base[position + 1 :]) for n in sizes]
    cases.append(tuple(edges[d][-1] if d in edges else n for d, n in enumerate(base)))
    return list(dict.fromkeys(cases))


CASES = {
    "gemm": [
        *_vary((5, 7, 3), {0: PARTITION, 1: BANK, 2: PARTITION}),
        (131, 523, 257),
        (1025, 3, 2),  # second block of rows
        (2049, 2, 3),  # second panel of rows,
        (2, 4099, 3),  # of columns,
        (3, 5, 2051),  # of the contraction
    ],
    "batched_gemm": [
        *_vary((3, 5, 7, 3), {1: PARTITION, 2: BANK, 3: PARTITION}),
        *_vary((5, 7, 11, 13), {0: (1, 2, 3, 4, 5, 17), 1: PACKED, 3: PACKED}),
        (2, 131, 523, 257),
        (2, 3, 5, 2051),
    ],
    "syrk": [
        *_vary((5, 3), {0: (*PARTITION, *BANK), 1: PARTITION}),
        (523, 131),
        (2053, 2),
        (3, 2051),
    ],
    "trsm": [*_vary((5, 3), {0: PARTITION, 1: BANK}), (131, 257), (2, 1031)],
    "ao2mo": [
        *_vary((2, 5, 3, 7), {0: (1, 131, 3), 1: PARTITION, 2: PARTITION, 3: BANK}),
        (3, 131, 37, 83),
        (2, 643, 65, 5),  # nu blocks in two loads
    ],
    "mp2_energy": [
        *_vary((2, 5), {0: (1, 101, 2), 1: (*PARTITION, *BANK)}),
        (2, 131),
        (1, 2053),  # square blocks of T
        *[(2, n, m) for n, m in ((1, 1), (5, 7), (131, 127), (1, 1030), (259, 131))],  # two spins
    ],
    "pair_energy": [
        *_vary((2, 3, 5, 7), {0: (1, 5, 2), 1: (0, 7, 1), 2: PARTITION, 3: (*PARTITION, *BANK)}),
        *[(n, 0, 3, 5) for n in (1, 2, 3, 4, 5, 11)],  # circulant lists, odd and even
        (3, 2, 131, 257),
        (3, 0, 523, 131),
        (2, 2, 18500, 128),  # B larger than SBUF
        (2, 0, 18500, 128),
        (1, 1, 2000, 1100),  # ... in several blocks of virtuals
        # Of two spins: more of a, more of b, several strips, chunks and contraction tiles, and
        # several blocks of virtuals.
        *[(2, 3, 5, n, m) for n, m in ((1, 1), (129, 127), (7, 513), (513, 7))],
        (3, 2, 131, 259, 131),
        (1, 2, 18500, 128, 131),
    ],
}


def _name(value: Any) -> str:
    return value if isinstance(value, str) else "x".join(map(str, value))


LONG = [(2, 2, 18500, 128)]
"""Seconds each, beside another case of the same form."""

TARGETS = [
    ("trn1", "parser", "observed"),
    ("trn1", "tracer", "documented"),
    ("trn2", "parser", "documented"),
    ("trn2", "tracer", "observed"),
]
"""Generation, front end, set of rules. The rules do not depend on each other, so that every pair of
settings is enough."""


def _every_size() -> Iterator[Any]:
    """Each size with each of the `TARGETS`: one of the four, the others are slow."""
    for kernel, cases in CASES.items():
        for turn, sizes in enumerate(cases):
            for number, target in enumerate(TARGETS):
                slow = sizes in LONG or number != turn % len(TARGETS)
                yield pytest.param(kernel, sizes, *target, marks=[pytest.mark.slow] * slow)


@pytest.mark.parametrize(
    ("kernel", "sizes", "target", "profile", "rules"), [*_every_size()], ids=_name
)
def test_sizes(
    launch: Launch,
    kernel_backend: str,
    kernel: str,
    sizes: tuple[int, ...],
    target: str,
    profile: str,
    rules: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The largest error is within the bound derived for it."""
    if kernel_backend == "nki-simulator":
        monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", target)
        monkeypatch.setenv("DFMP2_NKI_PROFILE", profile)
        monkeypatch.setenv("DFMP2_SIMULATOR_RULES", rules)
    elif (target, profile, rules) != TARGETS[0]:
        pytest.skip("a device and AWS's simulator have no such settings")
    outcome = CHECKS[kernel](launch, *sizes)
    assert outcome.ratio <= 1, outcome


DIMENSIONS = {
    "gemm": (300, 1100, 300),
    "batched_gemm": (9, 150, 600, 150),
    "syrk": (600, 300),
    "trsm": (300, 600),
    "ao2mo": (5, 200, 150, 600),
    "mp2_energy": (7, 300),
    "pair_energy": (4, 4, 300, 300),
}


@pytest.mark.parametrize(
    "kernel",
    [pytest.param(k, marks=[pytest.mark.slow] * (k == "trsm")) for k in sorted(DIMENSIONS)],
)
def test_drawn_sizes(launch: Launch, kernel: str) -> None:
    """Random sizes."""

    @settings(max_examples=12, deadline=None, derandomize=True, database=None)
    @given(st.tuples(*[st.integers(1, most) for most in DIMENSIONS[kernel]]))
    def run(sizes: tuple[int, ...]) -> None:
        outcome = CHECKS[kernel](launch, *sizes)
        assert outcome.ratio <= 1, outcome

    run()


@pytest.mark.parametrize(
    "sizes", [(5, 0, 131, 257), (3, 4, 129, 40), (4, 3, 129, 40, 170)], ids=_name
)
def test_many_launches(
    launch: Launch, sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several launches of one program, the last with repeated tasks."""
    monkeypatch.setattr("dfmp2.kernels.launch.INSTRUCTIONS", dict.fromkeys(INSTRUCTIONS, 150))
    outcome = CHECKS["pair_energy"](launch, *sizes)
    assert outcome.ratio <= 1, outcome


@pytest.mark.parametrize("streamed", [False, True], ids=["resident", "streamed"])
@pytest.mark.parametrize("sizes", [(5, 0, 3, 131), (4, 3, 3, 131), (4, 3, 3, 131, 100)], ids=_name)
def test_groups_of_orbitals(
    launch: Launch, sizes: tuple[int, ...], streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B beyond the reach of run-time offsets is cut, and the pairs across the cuts are there."""
    limit = 3 * 128 * 132 * 4  # two orbitals are below it
    monkeypatch.setattr(pair_plan, "OFFSET_BYTES", limit)
    if streamed:
        monkeypatch.setattr("dfmp2.kernels.pair_plan.plan_resident", lambda *_: None)

    def small(kernel: Any, *operands: Any) -> Any:
        assert max(x.nbytes for x in operands) < limit
        return launch(kernel, *operands)

    counted = Launcher(small)
    outcome = CHECKS["pair_energy"](counted, *sizes)
    assert outcome.ratio <= 1, outcome
    assert counted.launches > 1


def test_blocks_of_virtuals_of_two_spins(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block of a with every block of b, by launches of one program."""
    monkeypatch.setattr(pair_plan, "SBUF_BUDGET", pair_plan.rectangle_bytes(1, 50, 100, 1))
    counted = Launcher(launch)
    outcome = CHECKS["pair_energy"](counted, 2, 3, 5, 131, 259)
    assert outcome.ratio <= 1, outcome
    assert (len(counted.programs), counted.launches) == (1, 9)


def test_one_orbital_beyond_32_bits_is_refused() -> None:
    """No split of orbitals helps; a wrong address would be a wrong energy."""
    with pytest.raises(ResourceError, match=r"B of one orbital has 4.0 GiB \(32768 auxiliaries"):
        pair_plan.orbital_groups(3, 32768, 32768)


@pytest.mark.parametrize("n", [257, 300, 641])
def test_trsm_panels(launch: Launch, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A factor of several panels, right-hand sides in several launches."""
    monkeypatch.setattr("dfmp2.kernels.trsm.TRSM_RHS", 4)
    monkeypatch.setattr("dfmp2.kernels.launch.INSTRUCTIONS", dict.fromkeys(INSTRUCTIONS, 60))
    monkeypatch.setattr("dfmp2.kernels.trsm.TRSM_ORDER", 256)
    outcome = CHECKS["trsm"](launch, n, 19)
    assert outcome.ratio <= 1, outcome


def test_mp2_energy_in_groups(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of two T blocks are kept together, the last group has one; two launches."""
    monkeypatch.setattr("dfmp2.kernels.mp2_energy.SUMS_BYTES", 2 * 2 * 4 * 4)
    monkeypatch.setattr("dfmp2.kernels.launch.INSTRUCTIONS", dict.fromkeys(INSTRUCTIONS, 110))
    outcome = CHECKS["mp2_energy"](launch, 5, 131)
    assert outcome.ratio <= 1, outcome


def test_ao2mo_panels(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Virtuals in several panels, auxiliaries in several launches."""
    monkeypatch.setattr("dfmp2.kernels.ao2mo.C_VIR_BYTES", 4 * 2 * 100)
    monkeypatch.setattr("dfmp2.kernels.launch.INSTRUCTIONS", dict.fromkeys(INSTRUCTIONS, 60))
    outcome = CHECKS["ao2mo"](launch, 7, 130, 3, 250)
    assert outcome.ratio <= 1, outcome
