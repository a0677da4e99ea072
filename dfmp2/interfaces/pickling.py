"""Pickling of objects whose classes PySCF makes while a program runs, such as ``DFRHF``.

Python stores the name of a class, and finds none for these. Here their bases are stored.
"""

from __future__ import annotations

import copyreg
import sys
from collections.abc import Callable
from typing import Any

from pyscf import lib

__all__ = ["make_picklable"]

OF_EVERY_CLASS = {"__module__", "__name_mixin__", "__doc__", "__dict__", "__weakref__"}


def make_picklable(item: Any) -> Callable[[Any], Any] | None:
    """Register the classes of an object, and of the PySCF objects in it, that cannot be found.

    Parameters
    ----------
    item : pyscf.lib.StreamObject

    Returns
    -------
    callable or None
        What ``__reduce_ex__`` of the item must return, called with the item; None for the default.
    """
    todo, seen = [item], set()
    while todo:
        part = todo.pop()
        seen.add(id(part))
        if _is_made(type(part)):
            copyreg.pickle(type(part), _reduced)
        todo += [v for v in vars(part).values() if _is_of_pyscf(v) and id(v) not in seen]
    return copyreg.dispatch_table.get(type(item))


def _is_of_pyscf(value: Any) -> bool:
    return isinstance(value, lib.StreamObject)


def _is_made(kind: type) -> bool:
    """Whether a class has nothing but its bases, and no module holds it.

    A class that a user defines in a function has methods of its own, which would be lost.
    """
    module = sys.modules.get(kind.__module__)
    return (
        getattr(module, kind.__qualname__, None) is not kind and set(vars(kind)) <= OF_EVERY_CLASS
    )


def _reduced(item: Any) -> tuple[Any, ...]:
    make_picklable(item)  # Python comes here first if the class is registered already
    state = getattr(item, "__getstate__", lambda: vars(item))  # Python 3.10 has no default
    return _empty, (_described(type(item)),), state()


def _described(kind: type) -> Any:
    if not _is_made(kind):
        return kind
    return kind.__name__, kind.__module__, tuple(map(_described, kind.__bases__))


def _made(described: Any) -> type:
    if isinstance(described, type):
        return described
    name, module, bases = described
    kind: type = lib.make_class(tuple(map(_made, bases)), name)
    kind.__module__ = module
    return kind


def _empty(described: Any) -> Any:
    return object.__new__(_made(described))
