"""Running kernels: `jit`, `simulate`, `trace`."""

from __future__ import annotations

import functools
import inspect
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import BackendUnavailable

from ..blas import single_thread
from .account import Account
from .allocate import from_array, whole
from .dtypes import as_dtype
from .errors import refuse
from .generations import Generation, current_generation
from .liveness import check_capacity
from .memory import Storage, hbm, shared_hbm
from .rebind import bind, plain_function
from .rules import current_rule_set
from .state import Run, run_scope
from .subset import check_subset
from .subset_rules import current_profile
from .tensor import NkiTensor

__all__ = ["Kernel", "SimulatedKernel", "jit", "shape_of", "simulate", "trace"]


class Kernel:
    """A function decorated with `jit`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.func = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: a direct call compiles for a device, and this package has no compiler."""
        raise BackendUnavailable(
            f"kernel {self.func.__name__} was called directly, but NKI's compiler is not "
            "installed: use nki.simulate(kernel)(...)"
        )

    def __getitem__(self, grid: Any) -> Kernel:
        """Set the number of cores; one is what the simulator has."""
        if grid not in (1, (1,)):
            refuse("kernel[...]", "not-modelled", f"a launch on {grid} cores")
        return self


def jit(fn: Callable[..., Any] | None = None, **kwargs: Any) -> Any:
    """Mark a function as an NKI kernel."""
    if kwargs:
        refuse("nki.jit", "argument", f"nki.jit takes no {', '.join(kwargs)} since NKI 0.3")
    return jit if fn is None else Kernel(fn)


class SimulatedKernel:
    """A kernel bound to the simulator.

    Attributes
    ----------
    account : Account or None
        The account of the last call.
    """

    def __init__(self, kernel: Any, target: Generation | None = None) -> None:
        self.kernel = kernel
        self.target = target
        self.account: Account | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Execute on arrays.

        Arrays that the kernel writes to are modified in place. Returns the arrays that the kernel
        returns, a tuple if it returns several.
        """
        outputs, self.account = _run(self.kernel, args, kwargs, self.target, execute=True)
        return outputs


def simulate(kernel: Any, target: Generation | None = None) -> SimulatedKernel:
    """Return `kernel` as a callable on NumPy arrays.

    Parameters
    ----------
    kernel : Kernel or function
        A kernel decorated with `jit` must also pass `check_subset`; a plain function need not.
    target : Generation, optional
        Default: from NEURON_PLATFORM_TARGET_OVERRIDE at every call, else trn2.
    """
    plain_function(kernel)
    return SimulatedKernel(kernel, target)


def trace(kernel: Any, *args: Any, target: Generation | None = None, **kwargs: Any) -> Account:
    """Trace a kernel without arithmetic and return its account.

    Parameters
    ----------
    kernel : Kernel or function
    *args, **kwargs
        As for the kernel, with every array replaced by `shape_of(shape, dtype)` or given as an
        array (only its shape and dtype are used).
    target : Generation, optional
        Default: from NEURON_PLATFORM_TARGET_OVERRIDE, else trn2.
    """
    return _run(kernel, args, kwargs, target, execute=False)[1]


class shape_of:
    """Shape and dtype of an array, for `trace`."""

    def __init__(self, shape: tuple[int, ...], dtype: Any = np.float32) -> None:
        self.shape = tuple(shape)
        self.dtype = dtype


def _run(
    kernel: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    target: Generation | None,
    execute: bool,
) -> tuple[Any, Account]:
    """Return what the kernel returns (None when tracing), and the account."""
    plain = plain_function(kernel)
    function = bind(plain)
    if kernel is not plain:
        _check_source(function)
    names = [*inspect.signature(function).parameters, *["argument"] * len(args)]
    back: list[tuple[NDArray[Any], NDArray[Any]]] = []

    def operand(name: str, value: Any) -> Any:
        if execute and isinstance(value, np.ndarray):
            return _argument(name, value, back)
        if isinstance(value, (np.ndarray, shape_of)):
            return whole(_placeholder(name, value))
        return _constant(name, value)

    positional = [operand(name, a) for name, a in zip(names, args, strict=False)]
    named = {name: operand(name, a) for name, a in kwargs.items()}
    run = Run(target or current_generation(), current_rule_set(), execute)
    with run_scope(run), np.errstate(all="ignore"), single_thread():
        result = function(*positional, **named)
    tensors = _tensors(function.__name__, result)
    check_capacity(run, function.__name__)
    run.account.outputs = [t.shape for t in tensors]
    for array, copy in back:
        array[...] = copy
    if result is None or not execute:
        return None, run.account
    arrays = tuple(np.array(t.array(), order="C") for t in tensors)
    return arrays if isinstance(result, (tuple, list)) else arrays[0], run.account


_CHECKED: defaultdict[tuple[str, str], WeakSet[Callable[..., Any]]] = defaultdict(WeakSet)


def _check_source(function: Callable[..., Any]) -> None:
    """Check a kernel's source against the subset, once per function, profile and set of rules."""
    checked = _CHECKED[current_profile(), current_rule_set()]
    if function not in checked:
        check_subset(function)
        checked.add(function)


def _argument(
    name: str, value: NDArray[Any], back: list[tuple[NDArray[Any], NDArray[Any]]]
) -> NkiTensor:
    """Wrap an array, or a dense copy of it; `back` lists copies that have to be copied back."""
    direct = value.flags.c_contiguous and value.flags.writeable
    used = value if direct else np.array(value, order="C")
    tensor = from_array(used, hbm, name)
    tensor.storage.is_argument = True
    if not direct and value.flags.writeable:
        back.append((value, used))
    return tensor


def _placeholder(name: str, value: Any) -> Storage:
    """Make an argument without contents."""
    storage = Storage(tuple(value.shape) or (1,), as_dtype(value.dtype, name), hbm, name)
    storage.first_write = 0
    storage.is_argument = True
    return storage


def _constant(name: str, value: Any) -> Any:
    if isinstance(value, (list, set)):
        refuse(name, "argument", f"a {type(value).__name__}; pass a tuple")
    if hasattr(value, "__array__") and not isinstance(value, np.generic):
        refuse(name, "argument", f"a {type(value).__name__}; pass a NumPy array")
    return value


def _tensors(kernel: str, result: Any) -> list[NkiTensor]:
    """Return the tensors that a kernel returned, after a check of each."""
    if result is None:
        return []
    items = list(result) if isinstance(result, (tuple, list)) else [result]
    for t in items:
        if not isinstance(t, NkiTensor):
            refuse(kernel, "output-shared-hbm", f"returns a {type(t).__name__}")
        storage = t.storage
        if storage.region is not shared_hbm and not storage.is_argument:
            refuse(kernel, "output-shared-hbm", f"returns {storage.describe()}")
        if storage.first_write < 0:
            refuse(kernel, "read-before-write", f"returns {storage.describe()}, never written")
    return items
