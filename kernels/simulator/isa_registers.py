"""Register calls: move scalars between memory and the engines' registers."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import refuse
from .registers import VirtualRegister
from .state import current_run, issue
from .tensor import NkiTensor

__all__ = ["register_alloc", "register_load", "register_move", "register_store"]


def _register(call: str, arg: str, r: Any) -> VirtualRegister:
    if not isinstance(r, VirtualRegister):
        refuse(call, "argument", f"{arg} is a {type(r).__name__}, not a register")
    return r


def _one_element(call: str, arg: str, t: Any) -> NkiTensor:
    if type(t) is not NkiTensor:
        refuse(call, "argument", f"{arg} is a {type(t).__name__}, not a tensor")
    if t.size != 1 or t.storage.space == "psum" or t.dtype.itemsize > 4:
        refuse(call, "shape", f"{arg} is {t}, not one element in SBUF or HBM")
    return t


def register_alloc(x: int | None = None) -> VirtualRegister:
    """Allocate a register, with a constant or without a value."""
    call = "nisa.register_alloc"
    current_run(call)
    if x is not None and not isinstance(x, (int, np.integer)):
        refuse(call, "argument", f"x is a {type(x).__name__}")
    return VirtualRegister(None if x is None else int(x))


def register_move(dst: Any, src: Any) -> None:
    """Set a register to a constant or to another register's value."""
    call = "nisa.register_move"
    current_run(call)
    register = _register(call, "dst", dst)
    if isinstance(src, VirtualRegister):
        if not src.known:
            refuse(call, "register-uninitialised", "src holds no value yet")
        register.assign(call, src.peek())
    elif isinstance(src, (int, np.integer)):
        register.assign(call, int(src))
    else:
        refuse(call, "argument", f"src is a {type(src).__name__}")


def register_load(dst: Any, src: Any) -> None:
    """Load one element from SBUF or HBM."""
    call = "nisa.register_load"
    run = current_run(call)
    register = _register(call, "dst", dst)
    source = _one_element(call, "src", src)
    issue(run, call, "sync", 0, (source,), ())
    register.assign(call, int(source.read().item()) if run.execute else None)


def register_store(dst: Any, src: Any) -> None:
    """Store a register into one element of SBUF or HBM."""
    call = "nisa.register_store"
    run = current_run(call)
    target = _one_element(call, "dst", dst)
    register = _register(call, "src", src)
    if not register.known:
        refuse(call, "register-uninitialised", "src holds no value yet")
    issue(run, call, "sync", 0, (), (target,))
    if run.execute:
        target.write(np.full(target.shape, register.value()))
