"""Natural orbitals in files of other programs: Molden, and a chkfile of PySCF."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from dfmp2.errors import InputError
from dfmp2.foreign_errors import translated
from dfmp2.methods.natural_orbitals import NaturalOrbitals

__all__ = ["GROUP", "write_chkfile", "write_molden"]

GROUP = "natural_orbitals"
"""Group of the chkfile: mo_coeff, mo_occ, and irreps where there are some."""

LARGEST_L = 4
"""Molden files end at g functions. PySCF leaves out higher ones without a word."""


def write_molden(orbitals: NaturalOrbitals, path: str | os.PathLike[str]) -> None:
    """Write natural orbitals with their occupations and irreps to a Molden file.

    The number that the format has for orbital energies is minus the occupation, so that programs
    that sort by energy list the highest occupations first.

    Parameters
    ----------
    orbitals : NaturalOrbitals
    path : path
        Replaced if it exists.

    Raises
    ------
    InputError
        If the basis has h functions or higher ones, which the format does not have.
    OutputError
        If the file cannot be written.
    """
    from pyscf.tools import molden

    mol = orbitals.mol
    highest = max(mol.bas_angular(shell) for shell in range(mol.nbas))
    if highest > LARGEST_L:
        raise InputError(
            f"the basis has functions of angular momentum {highest}, but Molden files end at "
            f"{LARGEST_L} (g): the orbitals would not be complete; write a chkfile"
        )
    with translated(f"{os.fspath(path)}: writing the orbitals"):
        molden.from_mo(
            mol,
            os.fspath(path),
            orbitals.coefficients,
            symm=list(orbitals.irreps or ["A"] * len(orbitals.occupations)),
            ene=-orbitals.occupations,
            occ=orbitals.occupations,
        )


def write_chkfile(orbitals: NaturalOrbitals, path: str | os.PathLike[str]) -> None:
    """Write natural orbitals to a chkfile of PySCF, beside what it holds.

    They are read with ``lib.chkfile.load(path, "natural_orbitals/mo_coeff")``. The group "scf" is
    left alone: natural orbitals are no SCF.

    Parameters
    ----------
    orbitals : NaturalOrbitals
    path : path
        A new file, or a chkfile of the same molecule. Its natural orbitals are replaced.

    Raises
    ------
    InputError
        If the file exists and is no chkfile of this molecule.
    OutputError
        If the file cannot be written.
    """
    from pyscf.lib import chkfile

    name = os.fspath(path)
    with translated(f"{name}: writing the orbitals"):
        if Path(name).exists():
            _require_same_molecule(orbitals, name)
        else:
            chkfile.save_mol(orbitals.mol, name)
        content: dict[str, Any] = {
            "mo_coeff": orbitals.coefficients,
            "mo_occ": orbitals.occupations,
        }
        if orbitals.irreps is not None:
            labels = np.array([label.encode() for label in orbitals.irreps])
            content |= {"irreps": labels, "point_group": orbitals.point_group}
        chkfile.dump(name, GROUP, content)


def _require_same_molecule(orbitals: NaturalOrbitals, name: str) -> None:
    import h5py
    from pyscf.lib import chkfile

    other = None
    if h5py.is_hdf5(name):
        with h5py.File(name, "r") as file:
            has_molecule = "mol" in file
        other = chkfile.load_mol(name) if has_molecule else None
    if other is None:
        raise InputError(f"{name}: exists and is no chkfile of PySCF; name another file")
    mol = orbitals.mol
    same = other.natm == mol.natm and other.nao_nr() == mol.nao_nr() and other.cart == mol.cart
    if not (same and other.elements == mol.elements and _overlaps(mol, other)):
        raise InputError(
            f"{name}: is the chkfile of another molecule, geometry or basis; name another file"
        )


def _overlaps(mol: Any, other: Any) -> bool:
    """Whether both have the same functions at the same places."""
    one, two = (m.intor_symmetric("int1e_ovlp") for m in (mol, other))
    return bool(np.allclose(one, two, atol=1e-8))
