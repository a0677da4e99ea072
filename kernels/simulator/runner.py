"""Running kernels: `jit`, `simulate`, `trace`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import BackendUnavailable

from .account import Account
from .allocate import from_array, whole
from .blas import single_thread
from .dtypes import as_dtype
from .errors import refuse
from .generations import Generation, current_generation
from .liveness import check_capacity
from .memory import Storage, hbm, shared_hbm
from .rebind import bind, plain_function
from .state import Run, run_scope
from .subset import check_subset
from .tensor import NkiTensor

__all__ = ["Kernel", "SimulatedKernel", "jit", "simulate", "trace"]


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
        self.function, self.jitted = _prepared(kernel)
        self.target = target
        self.account: Account | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Check the source once, then execute on arrays.

        Returns the arrays that the kernel returns, a tuple where it returns several.
        """
        if self.jitted:
            _check_source(self.function)
        run = Run(self.target or current_generation(), execute=True)
        names = _names(self.function)
        back: list[tuple[NDArray[Any], Storage]] = []
        positional = [
            _argument(names[i] if i < len(names) else f"argument {i}", a, back)
            for i, a in enumerate(args)
        ]
        named = {k: _argument(k, a, back) for k, a in kwargs.items()}
        with run_scope(run), np.errstate(all="ignore"), single_thread():
            result = self.function(*positional, **named)
            outputs = _outputs(self.function.__name__, result)
        check_capacity(run, self.function.__name__)
        self.account = run.account
        for array, storage in back:
            assert storage.data is not None
            array[...] = storage.data.reshape(array.shape)
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
    return SimulatedKernel(kernel, target)


def trace(
    kernel: Any,
    *args: Any,
    target: Generation | None = None,
    **kwargs: Any,
) -> Account:
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
    function, jitted = _prepared(kernel)
    if jitted:
        _check_source(function)
    run = Run(target or current_generation(), execute=False)
    names = _names(function)
    positional = [
        _placeholder(names[i] if i < len(names) else f"argument {i}", a) for i, a in enumerate(args)
    ]
    named = {k: _placeholder(k, a) for k, a in kwargs.items()}
    with run_scope(run):
        result = function(*positional, **named)
        for t in _tensors(function.__name__, result):
            _check_output(function.__name__, t)
    check_capacity(run, function.__name__)
    return run.account


class shape_of:
    """Shape and dtype of an array, for `trace`."""

    def __init__(self, shape: tuple[int, ...], dtype: Any = np.float32) -> None:
        self.shape = tuple(shape)
        self.dtype = dtype


def _prepared(kernel: Any) -> tuple[Callable[..., Any], bool]:
    """Return the function to run, bound to this simulator, and whether it was decorated."""
    function = plain_function(kernel)
    return bind(function), kernel is not function


_CHECKED: WeakSet[Callable[..., Any]] = WeakSet()


def _check_source(function: Callable[..., Any]) -> None:
    """Check a kernel's source against the compiler's subset, once per function."""
    if function not in _CHECKED:
        check_subset(function)
        _CHECKED.add(function)


def _names(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def _argument(name: str, value: Any, back: list[tuple[NDArray[Any], Storage]]) -> Any:
    if isinstance(value, np.ndarray):
        direct = value.flags.c_contiguous and value.flags.writeable
        array = value if direct else np.array(value, order="C")
        storage = from_array(array, hbm, name)
        storage.is_argument = True
        if not direct and value.flags.writeable:
            back.append((value, storage))
        return whole(storage)
    return _constant(name, value)


def _placeholder(name: str, value: Any) -> Any:
    if isinstance(value, (np.ndarray, shape_of)):
        dtype = as_dtype(value.dtype, name)
        storage = Storage(tuple(value.shape) or (1,), dtype, hbm, name)
        storage.first_write = 0
        storage.is_argument = True
        return whole(storage)
    return _constant(name, value)


def _constant(name: str, value: Any) -> Any:
    if isinstance(value, (list, set)):
        refuse(name, "argument", f"a {type(value).__name__}; pass a tuple")
    if hasattr(value, "__array__") and not isinstance(value, np.generic):
        refuse(name, "argument", f"a {type(value).__name__}; pass a NumPy array")
    return value


def _tensors(kernel: str, result: Any) -> list[NkiTensor]:
    if result is None:
        return []
    items = list(result) if isinstance(result, (tuple, list)) else [result]
    for t in items:
        if not isinstance(t, NkiTensor):
            refuse(kernel, "output-shared-hbm", f"returns a {type(t).__name__}")
    return items


def _check_output(kernel: str, t: NkiTensor) -> None:
    storage = t.storage
    if storage.region is not shared_hbm and not storage.is_argument:
        refuse(kernel, "output-shared-hbm", f"returns {storage.describe()}")
    if storage.first_write < 0:
        refuse(kernel, "read-before-write", f"returns {storage.describe()}, never written")


def _outputs(kernel: str, result: Any) -> Any:
    arrays = []
    for t in _tensors(kernel, result):
        _check_output(kernel, t)
        arrays.append(np.array(t.array(), order="C"))
    if result is None:
        return None
    return tuple(arrays) if isinstance(result, (tuple, list)) else arrays[0]
