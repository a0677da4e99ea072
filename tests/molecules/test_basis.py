"""Basis sets by element, and in the notation of the command line."""

from __future__ import annotations

import pytest

from dfmp2.molecules.basis import basis_entry, parse_basis


def test_basis_entry() -> None:
    basis = {"o": "a", "H1": "b", 1: "c", "default": "d"}
    found = [basis_entry(basis, s) for s in ("O", "Ghost-O", "O2", "H1", "H", "GHOST-H1", "C")]
    assert found == ["a", "a", "a", "b", "c", "b", "d"]
    assert basis_entry({"O": "a"}, "C") is None
    assert basis_entry("cc-pvdz", "C") == "cc-pvdz"


@pytest.mark.parametrize(
    ("text", "basis"),
    [
        (None, None),
        ("cc-pvdz", "cc-pvdz"),
        ("6-31g(d,p)", "6-31g(d,p)"),
        ("O=cc-pvtz, default=cc-pvdz", {"O": "cc-pvtz", "default": "cc-pvdz"}),
    ],
)
def test_basis_of_the_command_line(text: str | None, basis: object) -> None:
    assert parse_basis(text) == basis
