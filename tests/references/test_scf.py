"""The SCF of the command line: bases that PySCF cannot do it in."""

from __future__ import annotations

from typing import Any

import pytest

from dfmp2.errors import InputError
from dfmp2.references.scf import run_scf
from dfmp2.settings import Settings
from tests.systems import molecule


@pytest.mark.filterwarnings("ignore:.*matrix a is not strictly positive definite")
@pytest.mark.parametrize(
    ("atoms", "basis", "ecp", "says"),
    [
        ("He 0 0 0", {"He": [[0, [1.0, 1.0]], [0, [1.0, 1.0]]]}, {}, "is linearly dependent: look"),
        (
            "H 0 0 0; I 0 0 1.6", "lanl2dz", {"I": "def2-svp"},
            "too few functions for the electrons, or was made for another effective core potential",
        ),
    ],
    ids=["twice", "ECP"],
)  # fmt: skip
def test_wrong_basis(atoms: str, basis: Any, ecp: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        run_scf(molecule(atoms, basis, ecp=ecp), Settings())
