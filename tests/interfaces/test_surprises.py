"""What scripts do to mean fields and around a run, which the class must notice or withstand."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from pyscf import gto, scf

from dfmp2 import DFMP2
from dfmp2.errors import CheckpointError, InputError


def _oxygen() -> gto.Mole:
    return gto.M(atom="O 0 0 0", basis="sto-3g", spin=2, verbose=0)


def _helium() -> scf.hf.RHF:
    return scf.RHF(gto.M(atom="He", basis="cc-pvdz", verbose=0)).run()


def test_the_record_has_the_spin_of_the_occupations() -> None:
    """Else it would state a multiplicity that was not computed."""
    singlet = scf.UHF(_oxygen())
    singlet.nelec = (4, 4)
    changed = scf.UHF(_oxygen()).run()
    changed.mol.spin = 0
    restricted = scf.ROHF(_oxygen()).run()
    for mf, spin in ((singlet.run(), 0), (changed, 2), (restricted, 2)):
        found = DFMP2(mf).run().result
        assert found is not None
        assert found.molecule.spin == spin
        assert found.to_qcschema()["molecule"]["molecular_multiplicity"] == spin + 1


def test_inside_inference_mode() -> None:
    """Its tensors cannot be changed in place, and only its own thread has the mode."""
    mf = _helium()
    expected = DFMP2(mf).run().e_corr
    with torch.inference_mode():
        assert DFMP2(mf).run().e_corr == pytest.approx(expected, abs=1e-12)
        assert torch.is_inference_mode_enabled()


@pytest.mark.parametrize("mode", ["r", "r+"])
def test_a_run_file_that_this_process_has_open(mode: str, tmp_path: Path) -> None:
    """It was called damaged, with the advice to move it away."""
    mp = DFMP2(_helium())
    mp.checkpoint = tmp_path / "he.h5"
    mp.run()
    with (
        h5py.File(tmp_path / "he.h5", mode),
        pytest.raises(CheckpointError, match="is open in this Python process; close it"),
    ):
        mp.run()
    assert mp.run().read_from is not None


def test_values_of_wrong_types() -> None:
    mf = _helium()
    with pytest.raises(InputError, match="verbose is 'x', but must be a number"):
        DFMP2(mf).verbose = "x"
    mf.converged = np.array([True, False])
    with pytest.raises(InputError, match=r"mf\.converged must be True or False"):
        DFMP2(mf).run()
