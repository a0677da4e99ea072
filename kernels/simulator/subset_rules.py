"""The rules of the compiler's Python subset, with the document behind each.

NKI has had two front ends, here called profiles. The *parser* reads the source of a kernel and
knows a part of Python only: NKI 0.3 to 0.6, and 0.7 with NKI_COMPILER_FRONTEND=custom. The *tracer*
of NKI 0.7 runs the kernel as Python. The parser is the default, because it refuses more.
"""

from __future__ import annotations

from dataclasses import dataclass

from .rules import Rule, from_environment

__all__ = ["PROFILES", "SUBSET_RULES", "SubsetRule", "current_profile"]

PROFILES = ("parser", "tracer")


@dataclass(frozen=True)
class SubsetRule(Rule):
    """A rule of one profile, or of both."""

    profiles: tuple[str, ...] = PROFILES


def current_profile() -> str:
    """Read the profile as `from_environment` does, from DFMP2_NKI_PROFILE."""
    return from_environment("DFMP2_NKI_PROFILE", PROFILES)


_GUIDE = "NKI Language Guide"
_NOTES3 = "NKI 0.3.0 release notes and migration guide"
_NOTES2 = "migration to NKI 0.2.0"
_OBSERVED = "observed on hardware with NKI 0.3; not documented"

_NOTES7 = "NKI 0.7.0 release notes"
_PARSER = PROFILES[:1]
_TRACER = PROFILES[1:]

SUBSET_RULES: dict[str, SubsetRule] = {
    "source": SubsetRule("the compiler reads a kernel's source text", _GUIDE),
    "keyword-only": SubsetRule(
        "parameters are plain: no keyword-only separator, no *args or **kwargs", _NOTES3
    ),
    "list-default": SubsetRule("a kernel takes tuples, no lists", _NOTES3),
    "identity": SubsetRule("== and != instead of is and is not", _NOTES3, _PARSER),
    "closure": SubsetRule(
        "variables of an enclosing function are unbound on hardware",
        _OBSERVED,
        _PARSER,
        reported=True,
    ),
    "inner-function": SubsetRule(
        "the parser accepts an inner function only as the body of a device loop, and this "
        "package models that for the tracer only",
        f"{_OBSERVED}; nki.language API reference, fori_loop",
        _PARSER,
        reported=True,
    ),
    "lambda": SubsetRule(
        "no lambda: only functions defined by name are inlined", _OBSERVED, _PARSER, reported=True
    ),
    "nested-jit": SubsetRule(
        "only the kernel carries nki.jit, not the functions it calls", _NOTES2
    ),
    "statement": SubsetRule(
        "statements are assignments, if, for, while, assert, return and calls",
        f"{_GUIDE}, Control Flow: no other statement is documented",
        _PARSER,
    ),
    "expression": SubsetRule(
        "values are None, bool, 32-bit numbers, strings, tensors, tuples, lists, dicts with "
        "string keys and classes",
        f"{_GUIDE}, NKI Values",
        _PARSER,
    ),
    "comprehension": SubsetRule(
        "a comprehension computes numbers; tensors and instructions are made in for loops",
        f"{_GUIDE}, Control Flow: comprehensions over tensors are not documented",
        _PARSER,
    ),
    "pure": SubsetRule("a kernel reads no mutable global: compiled kernels are cached", _GUIDE),
    "keyword": SubsetRule(
        "a call has the documented parameters and no others", f"{_NOTES3}; nki.isa"
    ),
    "unknown-call": SubsetRule(
        "a kernel uses the names of nki.isa and nki.language that this package models",
        "__all__ of dfmp2.kernels.simulator.isa and .language",
    ),
    "enum": SubsetRule("options are members of their enum, no numbers or strings", _NOTES3),
    "buffer-name": SubsetRule("buffers are nl.sbuf, nl.psum, nl.hbm or nl.shared_hbm", _NOTES3),
    "deprecated-range": SubsetRule(
        "loops that are unrolled use Python's range; the ranges of nki.language are deprecated",
        _NOTES7,
        _TRACER,
    ),
    "device-loop": SubsetRule(
        "nl.fori_loop is of the tracer; the parser has nl.dynamic_range, which is not modelled",
        "nki.language API reference, fori_loop and VirtualRegister",
        _PARSER,
    ),
}
