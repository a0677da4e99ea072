"""Wrong kernels must fail: single edits of kernel source, which the checks must detect.

An edit replaces the code of one function in place, so every kernel that calls it runs the edited
code. The check is that of `test_sizes`, on one problem with several strips, chunks and contraction
tiles and a remainder in each; without an edit it passes. An edit is detected if the error exceeds
its bound or the simulator refuses the kernel.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import types
from typing import NamedTuple

import pytest

from dfmp2.kernels import pair_plan
from dfmp2.kernels.checks import CHECKS
from dfmp2.kernels.launch import simulate
from dfmp2.kernels.nki import HAS_NKI
from dfmp2.kernels.simulator import SimulatorError

pytestmark = pytest.mark.skipif(HAS_NKI, reason="one simulator is enough to judge the checks")

SIZES = {
    "gemm": (131, 523, 257),
    "gemm-blocks": (1029, 3, 2),
    "batched_gemm": (3, 131, 5, 257),
    "batched_gemm-packed": (9, 29, 523, 31),
    "syrk": (523, 131),
    "trsm": (300, 520),
    "ao2mo": (5, 259, 37, 523),
    "mp2_energy": (3, 259),
    "mp2_energy-blocks": (1, 1100),
    "mp2_energy-spins": (3, 131, 1100),
    "pair_energy": (3, 0, 131, 261),
    "pair_energy-chunks": (1, 2, 131, 651),
    "pair_energy-streamed": (2, 0, 259, 391),
    "pair_energy-spins": (2, 3, 131, 131, 500),
}


class Edit(NamedTuple):
    """Replace `old` by `new` in `function` of `module`; the check of `problem` must fail."""

    problem: str
    module: str
    function: str
    old: str
    new: str


EDITS = [
    # Accumulation
    Edit("gemm", "tiles", "multiply", "accumulate=(k > 0)", "accumulate=False"),
    Edit("gemm", "tiles", "multiply", "accumulate=(k > 0)", "accumulate=True"),
    Edit("gemm", "tiles", "multiply", "range(nk)", "range(nk - 1)"),
    Edit("trsm", "trsm", "_solve", "accumulate=(j > 0)", "accumulate=False"),
    Edit(
        "pair_energy-streamed",
        "pair_streamed",
        "pair_energy_streamed_kernel",
        "k0 + k > 0",
        "k > 0",
    ),
    # Slices and offsets
    Edit("gemm", "tiles", "multiply", "left[:, k, l0 : l0 + m]", "left[:, k, 0:m]"),
    Edit("pair_energy", "tiles", "multiply", "left[:, k, l0", "left[:, 0, l0"),
    Edit("gemm", "tiles", "load_panel", "[nk * ld, PARTITIONS]", "[ld, PARTITIONS]"),
    Edit("gemm", "gemm", "block_product", "item * k * n + n1,", "item * k * n,"),
    Edit("gemm-blocks", "gemm", "block_product", "item * k * m + m0", "item * k * m"),
    Edit("gemm", "gemm", "block_product", "(m0 + s0) * n + n0", "(m0 + s0) * n"),
    Edit(
        "batched_gemm",
        "gemm",
        "block_product",
        "load_panel(b, nk, n, item * k * n,",
        "load_panel(b, nk, n, 0,",
    ),
    Edit("batched_gemm", "gemm", "block_product", "start = item * m * n", "start = 0 * m * n"),
    Edit(
        "batched_gemm-packed", "batched_gemm", "packed_gemm_kernel", "offset=r * e * e", "offset=0"
    ),
    Edit(
        "batched_gemm-packed",
        "batched_gemm",
        "packed_gemm_kernel",
        "nisa.memset(left, value=0.0)",
        "pass",
    ),
    Edit(
        "batched_gemm-packed",
        "batched_gemm",
        "packed_gemm_kernel",
        "right[:, g, n0:n1]",
        "right[:, 0, n0:n1]",
    ),
    Edit("syrk", "syrk", "syrk_kernel", "strips[d], 0, nk", "strips[-1], 0, nk"),
    Edit("syrk", "syrk", "syrk_kernel", "strips[-1], m0 - c0", "strips[-1], 0"),
    Edit("trsm", "trsm", "_solve", "moving=x[j]", "moving=x[0]"),
    Edit(
        "trsm", "trsm", "_solve", "data1=rhs[:, r0:r1], data2=acc", "data1=acc, data2=rhs[:, r0:r1]"
    ),
    Edit("ao2mo", "ao2mo", "_half", "n * PARTITIONS, c_occ", "0, c_occ"),
    Edit("ao2mo", "ao2mo", "_half", "slot * nocc : (slot + 1) * nocc", "0:nocc"),
    Edit("ao2mo", "ao2mo", "ao2mo_kernel", "half, 0, vir, a0", "half, 0, vir, 0"),
    Edit("ao2mo", "ao2mo", "ao2mo_kernel", "p0 + p, p)", "p0, p)"),
    Edit("pair_energy", "pair_resident", "_pair", "strip * p, right, c0", "0, right, c0"),
    Edit("pair_energy-chunks", "pair_resident", "_pair", "right, c0, nk", "right, 0, nk"),
    Edit("pair_energy", "pair_resident", "_pair", "e_col[:, strip : strip + 1]", "e_col[:, 0:1]"),
    Edit("pair_energy", "pair_resident", "_pair", "e_pair[:, slot : slot + 1]", "e_pair[:, 0:1]"),
    Edit(
        "pair_energy-chunks",
        "pair_resident",
        "_pair",
        "e_row[:, c0:c1]",
        "e_row[:, 0 : c1 - c0]",
    ),
    Edit(
        "pair_energy",
        "pair_resident",
        "_mirror_strip",
        "slot * nstrip + strip",
        "0 * nstrip + strip",
    ),
    Edit(
        "pair_energy", "pair_resident", "_load_orbital", "scalar_offset=index", "scalar_offset=None"
    ),
    Edit("mp2_energy-blocks", "mp2_energy", "_scaled", "+ b0 * p, width", ", width"),
    # Wrong operands
    Edit(
        "pair_energy",
        "pair_resident",
        "_all_tasks",
        "(left, right), (row",
        "(right, right), (row",
    ),
    Edit(
        "pair_energy",
        "pair_resident",
        "_all_tasks",
        "index[0:1, g + 2 : g + 3]",
        "index[0:1, g + 1 : g + 2]",
    ),
    Edit("pair_energy", "pair_resident", "_all_tasks", "min(n + 1, count - 1)", "n"),
    Edit(
        "pair_energy-streamed",
        "pair_streamed",
        "_load_chunks",
        "b_j, index[0:1, 2:3]",
        "b_j, index[0:1, 1:2]",
    ),
    Edit(
        "pair_energy-streamed",
        "pair_streamed",
        "pair_energy_streamed_kernel",
        "k0 + kc, min(kc",
        "k0, min(kc",
    ),
    Edit(
        "pair_energy-streamed",
        "pair_streamed",
        "pair_energy_streamed_kernel",
        "e_col, index[0:1, 4:5]",
        "e_col, index[0:1, 5:6]",
    ),
    Edit(
        "pair_energy-streamed",
        "pair_streamed",
        "pair_energy_streamed_kernel",
        "data2=scaled[1]",
        "data2=scaled[0]",
    ),
    # The reduction
    Edit("mp2_energy", "reduction", "mirror", "op=nl.subtract", "op=nl.add"),
    Edit(
        "mp2_energy",
        "reduction",
        "mirror",
        "scratch[0][:, n, :],",
        "scratch[0][:, 0, :],",
    ),
    Edit("mp2_energy", "reduction", "mirror", "moving=scratch[2]", "moving=scratch[1][:, n, :]"),
    Edit("mp2_energy", "reduction", "mirror", "(first + n) * p : (first + n + 1) * p", "0:p"),
    Edit(
        "pair_energy-chunks",
        "reduction",
        "mirror",
        "(first + n) * p : (first + n + 1) * p",
        "n * p : (n + 1) * p",
    ),
    Edit(
        "mp2_energy",
        "reduction",
        "square_sum",
        "nisa.activation(dst=squares, op=nl.square, data=data)",
        "nisa.tensor_copy(dst=squares, src=data)",
    ),
    Edit("mp2_energy", "reduction", "inverse_root_gap", "operand1=e_pair", "operand1=e_col"),
    Edit(
        "mp2_energy",
        "reduction",
        "inverse_root_gap",
        "op0=nl.rsqrt, operand0=0.0",
        "op0=nl.add, operand0=0.0",
    ),
    Edit("mp2_energy", "reduction", "scale", "data2=root[:", "data2=t[:"),
    Edit("pair_energy-chunks", "reduction", "mirror_row", "first = n * per_bank", "first = 0"),
    # Two spins
    Edit("pair_energy-spins", "pair_resident", "_pair", "v // work", "p if v else v // work"),
    Edit("pair_energy-spins", "pair_resident", "_pair", "right.shape[1], right", "1, right"),
    Edit(
        "pair_energy-spins",
        "pair_resident",
        "_pair",
        'slot * nstrip * work["blocks"]',
        "slot * nstrip * nstrip",
    ),
    Edit("pair_energy-spins", "pair_energy", "_opposite_spin", "j * count + y", "j * count + x"),
    Edit(
        "pair_energy-spins",
        "pair_energy",
        "_opposite_spin",
        "e_b[y * width : (y + 1) * width]",
        "e_b[:width]",
    ),
    Edit("pair_energy-spins", "pair_energy", "_opposite_spin", "e_i[p.first", "e_j[p.first"),
    Edit("pair_energy-spins", "pair_energy", "_opposite_spin", "] -= sums", "] = -sums"),
    Edit(
        "mp2_energy-spins",
        "mp2_energy",
        "mp2_energy_opposite_kernel",
        "(x0 + x) * rows + a * p",
        "(x0 + x) * v + a * p",
    ),
    Edit(
        "mp2_energy-spins",
        "mp2_energy",
        "mp2_energy_opposite_kernel",
        "row[:, first : first + width]",
        "row[:, 0:width]",
    ),
    Edit(
        "mp2_energy-spins",
        "mp2_energy",
        "mp2_energy_opposite_kernel",
        "col[:, a : a + 1]",
        "col[:, 0:1]",
    ),
    Edit(
        "mp2_energy-spins",
        "mp2_energy",
        "mp2_energy_opposite_kernel",
        "pair[:, x0 + x : x0 + x + 1]",
        "pair[:, x0 : x0 + 1]",
    ),
    # The last tile, row or task left out
    Edit(
        "gemm",
        "gemm",
        "block_product",
        "range(0, n, PSUM_BANK_F32)",
        "range(0, n - 11, PSUM_BANK_F32)",
    ),
    Edit(
        "gemm",
        "gemm",
        "block_product",
        "range(0, min(M_BLOCK, m - m0), PARTITIONS)",
        "range(0, m // PARTITIONS * PARTITIONS, PARTITIONS)",
    ),
    Edit("batched_gemm", "batched_gemm", "batched_gemm_kernel", "range(items)", "range(items - 1)"),
    Edit(
        "batched_gemm-packed",
        "batched_gemm",
        "packed_gemm_kernel",
        "range(pack)",
        "range(pack - 1)",
    ),
    Edit("trsm", "trsm", "_solve", "range(k)", "range(k - 1)"),
    Edit("ao2mo", "ao2mo", "_half", "range(count)", "range(count - 1)"),
    Edit("mp2_energy", "mp2_energy", "mp2_energy_kernel", "b0 + strip", "b0"),
    Edit(
        "mp2_energy-blocks",
        "mp2_energy",
        "mp2_energy_kernel",
        "range(a0, nstrip, step)",
        "range(a0, a0 + 1, step)",
    ),
    Edit(
        "pair_energy",
        "pair_resident",
        "_all_tasks",
        "_mirror_strip(work, sums, pending)",
        "pass",
    ),
    Edit(
        "pair_energy-chunks", "pair_resident", "_pair", "range(0, v, width)", "range(0, v - 1, v)"
    ),
    Edit("pair_energy", "pair_resident", "_collect", "len(columns)):", "len(columns) - 1):"),
]


def _check(problem: str, monkeypatch: pytest.MonkeyPatch) -> float:
    """Error of `problem` in units of its bound."""
    kernel, _, form = problem.partition("-")
    if form == "streamed":
        monkeypatch.setattr("dfmp2.kernels.pair_plan.plan_resident", lambda *_: None)
        monkeypatch.setattr("dfmp2.kernels.pair_streamed.k_chunk", lambda *_: 2)
    if form == "spins":
        # Two blocks of virtuals, and several partners per task.
        budget = pair_plan.rectangle_bytes(2, 70, 260, 1)
        monkeypatch.setattr(pair_plan, "SBUF_BUDGET", budget)
        monkeypatch.setattr(pair_plan, "partner_count", lambda *_: 2)
    if form == "":
        # Several partners per task and several tasks per launch.
        monkeypatch.setattr(pair_plan, "partner_count", lambda *_: 2)
    return CHECKS[kernel](simulate, *SIZES[problem]).ratio


@pytest.mark.parametrize("problem", list(SIZES))
def test_unedited_kernels_pass(problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks pass without an edit."""
    assert _check(problem, monkeypatch) <= 1


def _edited(module: types.ModuleType, edit: Edit) -> types.CodeType:
    """Code of the function with the edit made."""
    lines = inspect.getsource(module).splitlines(keepends=True)
    node = next(
        n
        for n in ast.parse("".join(lines)).body
        if isinstance(n, ast.FunctionDef) and n.name == edit.function
    )
    start, stop = node.body[0].lineno - 1, node.end_lineno
    body = "".join(lines[start:stop])
    assert body.count(edit.old) == 1, f"{edit.old!r} occurs {body.count(edit.old)} times"
    text = "".join(lines[:start]) + body.replace(edit.old, edit.new) + "".join(lines[stop:])
    codes = compile(text, str(module.__file__), "exec").co_consts
    return next(c for c in codes if isinstance(c, types.CodeType) and c.co_name == edit.function)


@pytest.mark.parametrize(
    "edit", EDITS, ids=[f"{e.module}.{e.function}-{n}" for n, e in enumerate(EDITS)]
)
def test_edit_is_detected(edit: Edit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check fails, or the simulator refuses."""
    module = importlib.import_module(f"dfmp2.kernels.{edit.module}")
    function = getattr(module, edit.function)
    monkeypatch.setattr(getattr(function, "func", function), "__code__", _edited(module, edit))
    try:
        ratio = _check(edit.problem, monkeypatch)
    except SimulatorError:
        return
    assert ratio > 1, f"{edit.old} -> {edit.new} was not detected"


def test_enough_edits() -> None:
    """Every kernel is edited, in at least thirty places altogether."""
    assert len(set(EDITS)) >= 30
    assert {e.problem.partition("-")[0] for e in EDITS} == set(CHECKS)
