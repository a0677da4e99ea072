"""The comparison of two inputs, and the message about a difference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dfmp2.fitting.auxbasis import choose_auxbasis
from dfmp2.runfile.identity import difference, fields_of, fingerprint, orbital_fields
from tests.systems import molecule, rng

WATER = "O 0 0 0; H 0 0.7572 0.5865; H 0 -0.7572 0.5865"


def fields(atoms: str = WATER, basis: Any = "6-31g", auxbasis: Any = "cc-pvdz-ri",
           frozen: Any = ((),), **options: Any) -> dict[str, Any]:  # fmt: skip
    """The fields of an input."""
    mol = molecule(atoms, basis, **options)
    return fields_of(mol, choose_auxbasis(mol, auxbasis).mol, frozen)


def test_the_order_of_keys_does_not_matter() -> None:
    one = fields()
    other = dict(reversed(one.items()))
    assert fingerprint(one) == fingerprint(other)
    assert difference(one, other) is None


def test_basis_sets_are_compared_by_functions() -> None:
    """The same functions under another name are the same input. Other functions are not."""
    from pyscf import gto

    spelled = fields(basis="6-31G")
    given = fields(basis={"O": gto.basis.load("6-31g", "O"), "H": gto.basis.load("6-31g", "H")})
    one = fields()
    for other in (spelled, given):
        assert other["basis"]["name"] != one["basis"]["name"]
        assert fingerprint(one) == fingerprint(other)
        assert difference(one, other) is None
    shells = gto.basis.load("6-31g", "O")
    shells[0][1][0] += 1e-9
    changed = fields(basis={"O": shells, "H": "6-31g"})
    assert fingerprint(changed) != fingerprint(given)
    assert str(difference(given, changed)).startswith("its basis is ")


def test_the_same_name_with_other_functions_is_a_difference() -> None:
    """A new version of a basis set library can change a set. The message must show the digests."""
    one, other = fields(), fields()
    other["basis"] = {**other["basis"], "data": "0" * 16}
    assert fingerprint(one) != fingerprint(other)
    found = str(difference(one, other))
    assert found.startswith("its basis is ")
    assert "0" * 16 in found


OTHERS = {
    "atoms": {"atoms": WATER.replace("O", "S", 1), "basis": "6-31g", "auxbasis": "def2-svp-ri"},
    "coordinates": {"atoms": WATER.replace("0.5865", "0.5866", 1)},
    "charge": {"charge": 2},
    "basis": {"basis": "sto-3g"},
    "cart": {"cart": True},
    "auxbasis": {"auxbasis": "def2-svp-ri"},
    "frozen": {"frozen": ((0,),)},
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_field_that_differs_is_named(name: str) -> None:
    one, other = fields(), fields(**OTHERS[name])
    assert fingerprint(one) != fingerprint(other)
    assert str(difference(one, other)).startswith(f"its {name} is ")


def test_a_small_shift_is_a_difference() -> None:
    """A coordinate that differs in its last bit is another input, because energies could differ."""
    one, other = fields(), fields()
    other["coordinates"][1][1] = float(np.nextafter(other["coordinates"][1][1], 9))
    assert difference(one, other) is not None


def test_a_field_missing_in_one_input() -> None:
    one = fields()
    assert difference(one, {**one, "fused": True}) == "its fused is none, not true"
    assert difference({**one, "orbitals": "ab"}, one) == "its orbitals is ab, not none"


def test_long_values_are_shortened() -> None:
    found = str(difference({"atoms": ["H"] * 500}, {"atoms": ["C"] * 500}))
    assert len(found) < 160


def test_orbitals_are_compared_by_values() -> None:
    c, e = rng().normal(size=(4, 3)), rng(1).normal(size=3)
    assert orbital_fields(c, e) == orbital_fields(np.asfortranarray(c), e)
    changed = c.copy()
    changed[3, 2] = np.nextafter(changed[3, 2], 9)
    assert orbital_fields(c, e) != orbital_fields(changed, e)
    assert orbital_fields(c, e) != orbital_fields(c, e[::-1])
