"""The interface between host sides and the machine that runs a kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dfmp2.errors import InputError
from dfmp2.kernels import reference
from dfmp2.kernels.ao2mo import ao2mo
from dfmp2.kernels.batched_gemm import batched_gemm
from dfmp2.kernels.checks import compare
from dfmp2.kernels.estimate import Tracer
from dfmp2.kernels.gemm import gemm
from dfmp2.kernels.launch import Launch, Launcher, instruction_limit, program_key
from dfmp2.kernels.limits import INSTRUCTIONS, LEAST_INSTRUCTIONS
from dfmp2.kernels.mp2_energy import mp2_energy
from dfmp2.kernels.pair_energy import pair_energy
from dfmp2.kernels.syrk import syrk
from dfmp2.kernels.trsm import trsm

RNG = np.random.default_rng(7)
A, B = RNG.random((140, 130)), RNG.random((130, 20))
STACK = RNG.random((3, 20, 20))
ENERGIES = -RNG.random(3) - 1, RNG.random(20) + 1
LOWER = np.tril(RNG.random((130, 130))) + 130 * np.eye(130)

CALLS = {
    "gemm": (gemm, reference.gemm, (A, B)),
    "batched_gemm": (batched_gemm, reference.batched_gemm, (STACK, STACK)),
    "syrk": (syrk, reference.syrk, (A,)),
    "trsm": (trsm, reference.trsm, (LOWER, B)),
    "ao2mo": (ao2mo, reference.ao2mo, (STACK + STACK.swapaxes(1, 2), A[:20, :4], A[:20, :9])),
    "mp2_energy": (mp2_energy, reference.mp2_energy, (STACK, ENERGIES[0], ENERGIES[1])),
    "pair_energy": (
        pair_energy,
        reference.pair_energy,
        (STACK, STACK, ENERGIES[0], ENERGIES[0], ENERGIES[1], True),
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_operands_keep_the_interface(launch: Launch, name: str) -> None:
    """Operands are C-contiguous, float32 or int32, finite, and not modified."""

    def inspect(kernel: Any, *operands: Any) -> Any:
        for x in operands:
            assert x.flags.c_contiguous
            assert x.dtype in (np.float32, np.int32)
            assert np.isfinite(x).all()
        copies = [x.copy() for x in operands]
        result = launch(kernel, *operands)
        for x, copy in zip(operands, copies, strict=True):
            np.testing.assert_array_equal(x, copy)
        return result

    function, _, arguments = CALLS[name]
    counted = Launcher(inspect)
    function(*arguments, launch=counted)
    assert counted.launches == 1


@pytest.mark.parametrize("name", CALLS)
def test_torch_tensors_stay_tensors(launch: Launch, name: str) -> None:
    """Large operands arrive as tensors, results of matrix kernels are tensors."""
    torch = pytest.importorskip("torch")
    function, definition, arguments = CALLS[name]
    tensors = [torch.from_numpy(x.copy()) if isinstance(x, np.ndarray) else x for x in arguments]
    seen = []

    def run(kernel: Any, *operands: Any) -> Any:
        seen.extend(isinstance(x, torch.Tensor) for x in operands)
        result = launch(kernel, *(np.asarray(x) for x in operands))
        return torch.from_numpy(np.asarray(result))

    result = function(*tensors, launch=run)
    assert any(seen)
    expected = definition(*arguments)
    if isinstance(expected, tuple):
        assert all(isinstance(x, np.ndarray) and x.dtype == np.float64 for x in result)
    else:
        assert isinstance(result, torch.Tensor)
        assert result.dtype == torch.float32
        result, expected = (result,), (expected,)
    for x, y in zip(result, expected, strict=True):
        assert compare(x, y, np.full(y.shape, 1e-5 * np.abs(y).max())).ratio <= 1


def test_default_is_the_simulator() -> None:
    """Without `launch` a kernel runs in the simulator, also for tensors on the CPU."""
    torch = pytest.importorskip("torch")
    c = gemm(torch.from_numpy(A), B)
    np.testing.assert_allclose(np.asarray(c), A @ B, rtol=1e-5)


def test_programs_are_counted_by_shape() -> None:
    """A launcher distinguishes programs as NKI's compiler does."""
    counted = Launcher(lambda kernel, a_t, b: np.zeros((a_t.shape[1], b.shape[1]), np.float32))
    for n in (20, 20, 21):
        gemm(A, RNG.random((130, n)), launch=counted)
    assert counted.launches == 3
    assert sorted(counted.programs.values()) == [1, 2]
    assert all(
        key.startswith("gemm_kernel(float32[256, 140], float32[256, 2") for key in counted.programs
    )


def test_program_key_of_a_plain_function() -> None:
    """Kernel, dtypes and shapes."""
    assert program_key(sum, (np.zeros((2, 3), np.int32),)) == "sum(int32[2, 3])"


def test_one_program_serves_all_tasks(launch: Launch) -> None:
    """Other orbitals are other data for the same program."""
    b = RNG.random((9, 3, 150))
    e, v = -RNG.random(9) - 1, RNG.random(150) + 1
    counted = Launcher(launch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dfmp2.kernels.launch.INSTRUCTIONS", dict.fromkeys(INSTRUCTIONS, 120))
        result = pair_energy(b, b, e, e, v, True, launch=counted)
    assert counted.launches > 3
    assert len(counted.programs) == 1
    for x, y in zip(result, reference.pair_energy(b, b, e, e, v, True), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-5 * np.abs(y).max())


def test_the_limit_of_a_program_is_that_of_its_generation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The launcher's machine decides, then the environment; DFMP2_NKI_INSTRUCTIONS lowers it."""
    monkeypatch.setattr(
        "dfmp2.kernels.launch.INSTRUCTIONS", {"trn1": 7000, "trn2": 8000, "trn3": 9000}
    )
    monkeypatch.delenv("DFMP2_NKI_INSTRUCTIONS", raising=False)
    monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", "gen3")
    known = Launcher(Tracer("trn1"))
    assert (instruction_limit(known), instruction_limit(Launcher(sum))) == (7000, 8000)
    monkeypatch.setenv("DFMP2_NKI_INSTRUCTIONS", str(LEAST_INSTRUCTIONS))
    assert instruction_limit(known) == instruction_limit(sum) == LEAST_INSTRUCTIONS
    for wrong in ("7001", "6143", "-1", "many", "7e3", "\u0667000"):
        monkeypatch.setenv("DFMP2_NKI_INSTRUCTIONS", wrong)
        with pytest.raises(InputError, match=rf"INSTRUCTIONS is '{wrong}'.*6144 to 7000"):
            instruction_limit(known)


def test_errors_of_a_kernel_are_raised() -> None:
    """Host sides catch no exception."""

    def fail(kernel: Any, *operands: Any) -> Any:
        raise RuntimeError("device lost")

    for function, _, arguments in CALLS.values():
        with pytest.raises(RuntimeError, match="device lost"):
            function(*arguments, launch=fail)


def test_singular_triangle_is_refused() -> None:
    """The message names the element."""
    a = LOWER.copy()
    a[3, 3] = 0
    with pytest.raises(InputError, match=r"singular: A\[3,3\] = 0"):
        trsm(a, B)
    a[3, 2] = np.nan
    with pytest.raises(InputError, match="NaN or infinite"):
        trsm(a, B)


def test_other_triangle_is_not_read(launch: Launch) -> None:
    """As in BLAS, only the lower triangle matters."""
    a = LOWER + np.triu(np.full_like(LOWER, np.nan), 1)
    expected = reference.trsm(LOWER, B)
    np.testing.assert_allclose(trsm(a, B, launch=launch), expected, atol=1e-8)


@pytest.mark.parametrize("name", CALLS)
def test_only_real_numbers_are_accepted(name: str) -> None:
    """NumPy would drop the imaginary part with a warning."""
    function, _, arguments = CALLS[name]
    for dtype in (complex, str):
        with pytest.raises(InputError, match="not real numbers"):
            function(np.asarray(arguments[0]).astype(dtype), *arguments[1:])


def test_a_block_with_itself_is_one_block(launch: Launch) -> None:
    """Pairs with j < i are computed as (j, i), which is another pair where the blocks differ."""
    e_i, e_vir = ENERGIES
    with pytest.raises(InputError, match="e_i and e_j differ"):
        pair_energy(STACK, STACK, e_i, e_i - 1, e_vir, True)
    with pytest.raises(InputError, match="different spins"):
        pair_energy(STACK, STACK, e_i, e_i, e_vir, True, e_vir)
    own = pair_energy(STACK, STACK, e_i, e_i, e_vir, True, launch=launch)
    copied = pair_energy(STACK, STACK + 1, e_i, e_i, e_vir, True, launch=launch)
    np.testing.assert_array_equal(own, copied)


def test_syrk_is_exactly_symmetric(launch: Launch) -> None:
    """The mirror is a copy."""
    c = syrk(RNG.random((600, 150)), launch=launch)
    np.testing.assert_array_equal(c, c.T)


def test_compare_rejects_what_is_not_finite() -> None:
    """A NaN or a wrong shape is an infinite error, not a pass."""
    one = np.ones((2, 2))
    assert compare(one, one, 0 * one).ratio == 0
    assert compare(np.array([[1, np.nan], [1, 1]]), one, one).ratio == np.inf
    assert compare(np.ones((2, 1)), one, one).ratio == np.inf
    assert compare(one + 1e-3, one, 0 * one).ratio == np.inf


MISFITS = {
    "gemm": (gemm, (A, B[:-1])),
    "batched_gemm": (batched_gemm, (STACK, STACK[:2])),
    "syrk": (syrk, (STACK,)),
    "trsm": (trsm, (LOWER, A)),
    "ao2mo": (ao2mo, (STACK, A[:20, :4], A[:19, :9])),
    "mp2_energy": (mp2_energy, (STACK, ENERGIES[0], ENERGIES[1][1:])),
    "pair_energy": (pair_energy, (STACK, STACK[:, 1:], *ENERGIES[:1] * 2, ENERGIES[1])),
    "pair_energy-diagonal": (
        pair_energy,
        (STACK, STACK[:2], ENERGIES[0], ENERGIES[0][:2], ENERGIES[1], True),
    ),
    "empty": (gemm, (A[:0], B)),
    "vector": (gemm, (A[0], B)),
    "batched-vector": (batched_gemm, (A[0], STACK)),
}


@pytest.mark.parametrize("name", MISFITS)
def test_shapes_that_do_not_fit_are_refused(name: str) -> None:
    """Padding would make them fit; the message shows them all."""
    function, arguments = MISFITS[name]
    with pytest.raises(InputError, match=rf"{function.__name__}: shapes do not fit .*: .* \[\d+"):
        function(*arguments)
