"""Objects in place of a mean field: the message names the remedy that works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyscf import lib, scf

from dfmp2 import DFMP2
from dfmp2.errors import NotConvergedError, UnsupportedReferenceError
from tests.systems import mean_field, molecule


def _of_gpu4pyscf() -> Any:
    """An object as gpu4pyscf has them: not an SCF of PySCF, with arrays on the GPU."""
    return type("RHF", (), {"__module__": "gpu4pyscf.scf.hf", "mol": None, "converged": True})()


def _derived_from_gpu4pyscf() -> Any:
    base = type("RHF", (scf.hf.RHF,), {"__module__": "gpu4pyscf.scf.hf"})
    return type("Mine", (base,), {})(mean_field("water").mol)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_of_gpu4pyscf, r"gpu4pyscf, with arrays on the GPU; give mf\.to_cpu\(\)"),
        (_derived_from_gpu4pyscf, r"give mf\.to_cpu\(\)"),
        (lambda: "water.chk", r"path 'water\.chk'; for a chkfile use .*mf\.from_chk\(path\)"),
        (lambda: Path("water.chk"), "for a chkfile use"),
        (lambda: mean_field("water").mol, r"a molecule; give scf\.RHF\(mol\)\.run\(\)"),
        (lambda: {"mo_coeff": 1}, "found dict"),
    ],
)
def test_refused_when_it_is_given(make: Any, says: str) -> None:
    with pytest.raises(UnsupportedReferenceError, match=says):
        DFMP2(make())


def test_a_chkfile_put_into_an_scf_object(tmp_path: Path) -> None:
    """More iterations or a level shift are no remedy for an SCF that never ran."""
    mol = molecule("He 0 0 0", "6-31g")
    mf = scf.RHF(mol)
    mf.chkfile = str(tmp_path / "he.chk")
    mf.run()
    filled = scf.RHF(mol)
    filled.__dict__.update(lib.chkfile.load(mf.chkfile, "scf"))
    with pytest.raises(NotConvergedError, match=r"set by hand.*mf\.kernel\(mf\.make_rdm1\(\)\)"):
        DFMP2(filled).run()
    filled.kernel(filled.make_rdm1())
    assert abs(DFMP2(filled).run().e_tot - DFMP2(mf).run().e_tot) < 1e-9


def test_a_mean_field_of_another_molecule_must_run_again() -> None:
    mf = mean_field("water").copy()
    mp2 = DFMP2(mf)
    mp2.reset(mf.mol.copy())
    with pytest.raises(NotConvergedError, match=r"its molecule was changed"):
        mp2.run()
