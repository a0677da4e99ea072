"""Which values each attribute of `DFMP2` takes, and in which form they are kept.

A wrong value would be found late or never: a string counts as true, and NaN passes comparisons.
"""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np

from dfmp2.errors import InputError
from dfmp2.references.double_hybrids import double_hybrid
from dfmp2.results.stages import Precision
from dfmp2.settings import BACKENDS, BLAS, CHECKS, INTEGRALS
from dfmp2.tensors.problem import silent

__all__ = ["accepted"]

Test = Callable[[Any], bool]


@dataclass(frozen=True)
class _Rule:
    """What an attribute takes: in words, as a test, how it is kept, and what is said otherwise."""

    allowed: str
    takes: Test
    kept: Callable[[Any], Any] = lambda value: value
    otherwise: str = "{name} is {value}, but must be {allowed}"


def _any(value: Any) -> bool:
    return True


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike)) and bool(str(os.fspath(value)))


def _listed(value: Any) -> list[Any]:
    """The elements of a list or an array, or one value as a list."""
    found = value.tolist() if isinstance(value, np.ndarray) else value
    return list(found) if isinstance(found, (list, tuple)) else [found]


def _pair(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2


def _numbers(*ndims: int) -> Test:
    def takes(value: Any) -> bool:
        try:
            array = np.asarray(value)
        except (TypeError, ValueError):  # rows of different lengths, or an array of a GPU
            return False
        return array.ndim in ndims and array.dtype.kind in "iufc"

    return takes


def _or_none(takes: Test) -> Test:
    return lambda value: value is None or takes(value)


def _flag() -> _Rule:
    return _Rule("True or False", lambda value: isinstance(value, bool))


def _choice(names: tuple[str, ...], none: bool = False) -> _Rule:
    def takes(value: Any) -> bool:
        return isinstance(value, str) and value in names

    return _Rule(
        ", ".join(names) + (" (or None: the default)" if none else ""),
        _or_none(takes) if none else takes,
        otherwise="{name} {value} is unknown; choose one of {allowed}",
    )


def _frozen(value: Any) -> Any:
    if isinstance(value, str) and value == "none":  # as on the command line
        return None
    return list(value) if isinstance(value, Iterator) else value  # it can be read only once


_RULES = {
    "accuracy": _Rule("a finite number above 0 (hartree)", lambda v: _number(v) and 0 < v < inf),
    "allow_ks": _flag(),
    "backend": _choice(BACKENDS, none=True),
    "blas": _choice(BLAS),
    "check_reference": _choice(CHECKS),
    "check_stability": _flag(),
    "checkpoint": _Rule("a path of a run file, or None", _or_none(_path)),
    "checkpoint_interval": _Rule(
        "a finite number of seconds, 0 or more", lambda v: _number(v) and 0 <= v < inf
    ),
    "dispersion": _flag(),
    "device": _Rule(
        "a name such as 'cpu', 'cuda' or 'cuda:0', with a simulator 'bundled' or 'aws', or None",
        _or_none(_text),
    ),
    "frozen": _Rule("", _any, _frozen),  # `frozen_orbitals` checks it, for it needs the molecule
    "fused": _flag(),
    "integrals": _choice(INTEGRALS),
    "kappa": _Rule(
        "a number above 0 (1/hartree), or a list of such numbers",
        lambda v: all(_number(one) and 0 < one < inf for one in _listed(v)),
        lambda v: tuple(float(one) for one in _listed(v)),
    ),
    "max_memory": _Rule("a number of MB, or None", _or_none(_number)),
    "mo_coeff": _Rule(
        "an array of shape (nao, nmo), or (2, nao, nmo) for UHF, or None",
        _or_none(_numbers(2, 3)),
    ),
    "mo_occ": _Rule(
        "an array of shape (nmo,), or (2, nmo) for UHF, or None", _or_none(_numbers(1, 2))
    ),
    "name": _Rule("a string", _text),
    "precision": _choice(tuple(name.value for name in Precision), none=True),
    "progress": _Rule(
        "a function progress(stage, done, total), or None",
        _or_none(callable),
        lambda value: silent if value is None else value,
    ),
    "scale": _Rule(
        "two numbers, the weights of opposite and same spin, or None",
        _or_none(lambda v: _pair(v) and all(_number(one) and isfinite(one) for one in v)),
        lambda v: None if v is None else (float(v[0]), float(v[1])),
    ),
    "verbose": _Rule("a number, from 0 (nothing) to 9", lambda v: isinstance(v, (int, float))),
    "xc": _Rule(
        "the name of a double hybrid, or None",
        _or_none(_text),
        lambda value: None if value is None else double_hybrid(value).name,
    ),
}


def accepted(name: str, value: Any) -> Any:
    """The value of an attribute in the form in which it is kept.

    Parameters
    ----------
    name : str
        Attributes that are not in the table take every value.
    value : object
        A scalar of NumPy, also as an array without axes, becomes one of Python, which JSON can
        hold.

    Returns
    -------
    object

    Raises
    ------
    InputError
        If the attribute does not take the value.
    """
    rule = _RULES.get(name)
    if rule is None:
        return value
    scalar = isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0
    plain = value.item() if scalar else value
    if not rule.takes(plain):
        shown = " ".join(reprlib.repr(value).split())
        raise InputError(rule.otherwise.format(name=name, value=shown, allowed=rule.allowed))
    return rule.kept(plain)
