"""The rules of the compiler's Python subset, with the document behind each."""

from __future__ import annotations

from .rules import Rule

__all__ = ["SUBSET_RULES"]

_GUIDE = "NKI Language Guide"
_NOTES3 = "NKI 0.3.0 release notes and migration guide"
_NOTES2 = "migration to NKI 0.2.0"
_OBSERVED = "observed on hardware with NKI 0.3; not documented"

SUBSET_RULES: dict[str, Rule] = {
    "source": Rule("the compiler reads a kernel's source text", _GUIDE),
    "keyword-only": Rule(
        "parameters are plain: no keyword-only separator, no *args or **kwargs", _NOTES3
    ),
    "list-default": Rule("a kernel takes tuples, no lists", _NOTES3),
    "identity": Rule("== and != instead of is and is not", _NOTES3),
    "closure": Rule("variables of an enclosing function are unbound on hardware", _OBSERVED),
    "inner-function": Rule(
        "the compiler accepts an inner function only as the body of a device loop, and this "
        "package models none",
        f"{_OBSERVED}; nki.language API reference, fori_loop",
    ),
    "lambda": Rule("no lambda: only functions defined by name are inlined", _OBSERVED),
    "nested-jit": Rule("only the kernel carries nki.jit, not the functions it calls", _NOTES2),
    "statement": Rule(
        "statements are assignments, if, for, while, assert, return and calls",
        f"{_GUIDE}, Control Flow: no other statement is documented",
    ),
    "expression": Rule(
        "values are None, bool, 32-bit numbers, strings, tensors, tuples, lists, dicts with "
        "string keys and classes",
        f"{_GUIDE}, NKI Values",
    ),
    "comprehension": Rule(
        "a comprehension computes numbers; tensors and instructions are made in for loops",
        f"{_GUIDE}, Control Flow: comprehensions over tensors are not documented",
    ),
    "pure": Rule("a kernel reads no mutable global: compiled kernels are cached", _GUIDE),
    "keyword": Rule("a call has the documented parameters and no others", f"{_NOTES3}; nki.isa"),
    "unknown-call": Rule(
        "a kernel uses the names of nki.isa and nki.language that this package models",
        "__all__ of dfmp2.kernels.simulator.isa and .language",
    ),
    "enum": Rule("options are members of their enum, no numbers or strings", _NOTES3),
    "buffer-name": Rule("buffers are nl.sbuf, nl.psum, nl.hbm or nl.shared_hbm", _NOTES3),
}
