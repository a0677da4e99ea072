"""Kernels that leave the compiler's Python subset, one construct each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dfmp2.kernels.simulator import isa as nisa
from dfmp2.kernels.simulator import jit
from dfmp2.kernels.simulator import language as nl
from dfmp2.kernels.simulator.isa import memset

# What each kernel below breaks: rule and detail.
EXPECTED: dict[str, tuple[str, str]] = {}
KERNELS: dict[str, Callable[..., Any]] = {}
TABLE = [1, 2, 3]


def helper(x: Any, y: Any) -> Any:
    """Combine two values."""
    nisa.tensor_tensor(x, x, y, nl.add)
    return x


def leaves(rule: str, detail: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Collect a kernel with the violation it must be refused for."""

    def collect(kernel: Callable[..., Any]) -> Callable[..., Any]:
        name = kernel.__name__
        KERNELS[name] = kernel
        EXPECTED[name] = (rule, detail)
        return kernel

    return collect


@leaves("keyword-only", "scale")
def keyword_only(x: Any, *, scale: float = 1.0) -> Any:
    return helper(x, scale)


@leaves("keyword-only", "* or ** parameter options")
def keyword_rest(x: Any, **options: Any) -> Any:
    return helper(x, x)


@leaves("list-default", "[4, 8]")
def list_default(x: Any, shape: Any = [4, 8]) -> Any:  # noqa: B006
    return nl.ndarray(shape, nl.float32)


@leaves("identity", "x is None")
def identity(x: Any) -> Any:
    if x is None:
        return nl.ndarray((4, 8), nl.float32)
    return x


def factory(scale: float) -> Callable[..., Any]:
    """Make a kernel that captures `scale`."""

    def captured(x: Any) -> Any:
        return helper(x, scale)

    return captured


leaves("closure", "captures scale")(factory(2.0))


@leaves("inner-function", "twice")
def inner_function(x: Any) -> Any:
    def twice(t: Any) -> Any:
        return helper(t, t)

    return twice(x)


@leaves("lambda", "lambda t: helper(t, t)")
def anonymous(x: Any) -> Any:
    f = lambda t: helper(t, t)  # noqa: E731
    return f(x)


@jit
def inner_kernel(x: Any) -> Any:
    return helper(x, x)


@leaves("nested-jit", "inner_kernel is a kernel")
def calls_kernel(x: Any) -> Any:
    return inner_kernel(x)


@leaves("statement", "try")
def catches(x: Any) -> Any:
    try:
        y = helper(x, x)
    except ValueError:
        y = x
    return y


@leaves("statement", "with open('file')")
def opens(x: Any) -> Any:
    with open("file"):  # noqa: PTH123
        return helper(x, x)


@leaves("statement", "raise")
def raises(x: Any) -> Any:
    if x.shape[0] > 128:
        raise ValueError("too many")
    return helper(x, x)


@leaves("statement", "import")
def imports(x: Any) -> Any:
    import math

    return helper(x, math.pi)


@leaves("expression", "(n for n in x.shape)")
def generator(x: Any) -> Any:
    return nl.ndarray(tuple(n for n in x.shape), nl.float32)


@leaves("expression", "(n := x.shape[0])")
def walrus(x: Any) -> Any:
    if (n := x.shape[0]) > 4:
        return nl.ndarray((n, 4), nl.float32)
    return x


@leaves("expression", "dictionary key 1")
def integer_keys(x: Any) -> Any:
    names = {1: x}
    return names[1]


@leaves("expression", "4294967296")
def wide_integer(x: Any) -> Any:
    return helper(x, 4294967296)


@leaves("comprehension", "calls nl.ndarray")
def comprehension(x: Any) -> Any:
    tiles = [nl.ndarray((4, 8), nl.float32) for _ in range(2)]
    return tiles[0]


@leaves("pure", "reads the global TABLE")
def reads_global(x: Any) -> Any:
    return helper(x, float(TABLE[0]))


@leaves("keyword", "nisa.tensor_copy has no parameter mask")
def unknown_keyword(x: Any, y: Any) -> None:
    nisa.tensor_copy(y, x, mask=True)  # type: ignore[call-arg]


@leaves("keyword", "nisa.memset has no parameter mask")
def unknown_keyword_of_imported_name(x: Any) -> None:
    memset(x, 0.0, mask=True)  # type: ignore[call-arg]


@leaves("keyword", "nisa.memset takes 4 arguments, got 5")
def too_many_arguments(x: Any) -> None:
    nisa.memset(x, 0.0, nisa.engine.vector, "name", 1)  # type: ignore[call-arg]


@leaves("unknown-call", "nl.arange")
def unknown_call(x: Any) -> Any:
    return nl.arange(x)  # type: ignore[attr-defined]


@leaves("unknown-call", "nisa.iota")
def unknown_instruction(x: Any) -> None:
    nisa.iota(x, [[1, 8]])  # type: ignore[attr-defined]


@leaves("unknown-call", "nl.maximum")
def unknown_operator(x: Any) -> None:
    nisa.tensor_scalar(x, x, op0=nl.maximum, operand0=0.0)  # type: ignore[attr-defined]


@leaves("enum", "nisa.tensor_copy(engine=5)")
def engine_number(x: Any, y: Any) -> None:
    nisa.tensor_copy(y, x, engine=5)


@leaves("buffer-name", "nl.ndarray(buffer='sbuf')")
def buffer_string(x: Any) -> Any:
    return nl.ndarray(x.shape, nl.float32, buffer="sbuf")


@leaves("deprecated-range", "nl.affine_range")
def old_range(x: Any) -> Any:
    for _ in nl.affine_range(2):
        x = helper(x, x)
    return x


@leaves("deprecated-range", "nl.sequential_range")
def old_sequential_range(x: Any) -> Any:
    for _ in nl.sequential_range(2):
        x = helper(x, x)
    return x


def body(i: Any) -> None:
    """Do nothing."""


@leaves("device-loop", "nl.fori_loop")
def device_loop(x: Any) -> Any:
    nl.fori_loop(0, 2, body)
    return x
