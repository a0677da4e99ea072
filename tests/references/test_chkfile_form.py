"""The form of chkfiles: what is damaged, periodic or open elsewhere."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from dfmp2.errors import InputError, UnsupportedReferenceError
from dfmp2.references.chkfile_form import read_form
from tests.cli.common import dfmp2
from tests.systems import molecule


@pytest.fixture
def chkfile(tmp_path: Path) -> Path:
    """The chkfile of a converged helium atom: two functions."""
    from pyscf import scf

    mf = scf.RHF(molecule("He 0 0 0", "6-31g"))
    mf.chkfile = str(tmp_path / "he.chk")
    mf.kernel()
    return tmp_path / "he.chk"


def _set(name: str, value: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = value

    return change


def _molecule(name: str, value: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        stored = json.loads(file["mol"][()])
        stored[name] = value
        _set("mol", json.dumps(stored))(file)

    return change


def _lose(name: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]

    return change


def _group(file: h5py.File) -> None:
    """PySCF stores lists of arrays as groups."""
    del file["scf/mo_coeff"]
    file["scf"].create_group("mo_coeff__from_list__")["000000"] = np.eye(2)


DAMAGE: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "no molecule": (_lose("mol"), "is no PySCF chkfile"),
    "no SCF": (_lose("scf"), "is no PySCF chkfile"),
    "no energy": (_lose("scf/e_tot"), "is no PySCF chkfile"),
    "a list of orbitals": (_group, "is no PySCF chkfile"),
    "energy is an array": (_set("scf/e_tot", np.zeros(3)), "scf/e_tot has shape"),
    "energy is text": (_set("scf/e_tot", "-2.9"), "scf/e_tot holds"),
    "energy is NaN": (_set("scf/e_tot", np.nan), "not finite"),
    "too few orbital energies": (_set("scf/mo_energy", np.zeros(1)), "scf/mo_energy has shape"),
    "orbital energies are complex": (_set("scf/mo_energy", np.zeros(2) + 1j), "not real"),
    "too few functions": (_set("scf/mo_coeff", np.eye(3)[:, :2]), "scf/mo_coeff has shape"),
    "orbitals are text": (_set("scf/mo_coeff", np.array([[b"a", b"b"]] * 2)), "not real"),
    "orbitals are a vector": (_set("scf/mo_coeff", np.zeros(4)), "scf/mo_energy has shape"),
    "another number of electrons": (_set("scf/mo_occ", np.array([0.0, 0.0])), "2 electrons"),
    "molecule is a list": (_set("mol", "[1, 2]"), "is no PySCF chkfile"),
    "molecule is no JSON": (_set("mol", "He 0 0 0"), "is no PySCF chkfile"),
    "molecule was moved": (_molecule("_atom", [["He", [0.0, 0.0, 1.0]]]), "contradict"),
    "another basis": (_molecule("_basis", {"He": [[0, [1.0, 1.0]]]}), "contradict"),
    "array of no use": (_molecule("_env", [0.0] * 5), "is no PySCF chkfile"),
    "shell without exponents": (_molecule("_bas", [[0, 0, 9, 1, 0, 999, 999, 0]]), "contradict"),
    "a program": (_molecule("basis", "__import__('os').getcwd()"), "no literal"),
    "an open text": (_molecule("atom", "'He 0 0 0"), "is no PySCF chkfile"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_one_line(kind: str, chkfile: Path) -> None:
    """Without a check, libcint would read outside its arrays, or PySCF would run the text."""
    change, message = DAMAGE[kind]
    with h5py.File(chkfile, "r+") as file:
        change(file)
    with pytest.raises(InputError, match=message) as caught:
        read_form(str(chkfile))
    assert str(caught.value).startswith(f"{chkfile}: ")


def test_a_periodic_cell_is_refused_by_name(tmp_path: Path) -> None:
    """Its energy would be that of the molecule in one cell."""
    from pyscf.pbc import gto, scf

    cell = gto.M(atom="He 0 0 0", a=np.eye(3) * 3.0, basis="sto-3g", verbose=0, mesh=[5] * 3)
    mf = scf.RHF(cell).set(chkfile=str(tmp_path / "cell.chk"), max_cycle=1)
    mf.kernel()
    with pytest.raises(UnsupportedReferenceError, match="of a periodic Cell"):
        read_form(mf.chkfile)
    done = dfmp2("run", mf.chkfile, "--no-checkpoint")
    assert done.exit_code == 2
    assert "of a periodic Cell; dfmp2 treats molecules only" in done.stderr


def test_a_chkfile_that_another_process_holds_is_read(chkfile: Path) -> None:
    """PySCF may still run. It holds the file with a lock for writing."""
    with chkfile.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="lock"):
            h5py.File(chkfile, "r", locking=True)
        done = dfmp2("run", chkfile, "--no-checkpoint", "--quiet")
    assert done.exit_code == 0, done.stderr


def test_a_name_that_means_other_functions_is_not_kept(chkfile: Path) -> None:
    """The auxiliary basis is chosen by the name. A file of that name may have changed."""
    assert read_form(str(chkfile))[0].basis == {"He": "6-31g"}
    with h5py.File(chkfile, "r+") as file:
        _molecule("basis", "'cc-pvdz'")(file)
    assert isinstance(read_form(str(chkfile))[0].basis["He"], list)
