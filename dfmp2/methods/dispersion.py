"""Dispersion energies of double hybrids, from the programs of the DFT-D3 and DFT-D4 projects.

D3: S. Grimme, S. Ehrlich, L. Goerigk, doi:10.1002/jcc.21759. D4: E. Caldeweyher et al.,
doi:10.1063/1.5090222.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from dfmp2.errors import BackendUnavailable, InputError
from dfmp2.molecules.plain import element_of
from dfmp2.references.double_hybrids import Dispersion

__all__ = ["dispersion_energy", "require_program"]

_PACKAGES = {"D3BJ": "dftd3", "D4": "dftd4"}


def require_program(dispersion: Dispersion) -> Any:
    """The interface of the program that computes a dispersion energy.

    Raises
    ------
    BackendUnavailable
        If it is not installed.
    """
    package = _PACKAGES[dispersion.kind]
    try:
        return import_module(f"{package}.interface")
    except ImportError as error:
        raise BackendUnavailable(
            f"the dispersion {dispersion.kind} needs the Python package {package} ({error}); "
            "install it with pip install 'dfmp2[dispersion]', or leave the dispersion out "
            "(--no-dispersion, dispersion=False)"
        ) from error


def dispersion_energy(mol: Any, dispersion: Dispersion) -> float:
    """Dispersion energy of the atoms of a molecule.

    Parameters
    ----------
    mol : pyscf.gto.Mole
        Its ghost atoms have none.
    dispersion : Dispersion

    Returns
    -------
    float
        Hartree.

    Raises
    ------
    BackendUnavailable
        If the program is not installed.
    InputError
        If it has no parameters for an element.
    """
    from pyscf.data.elements import charge

    program = require_program(dispersion)
    atoms = [element_of(mol.atom_symbol(i)) for i in range(mol.natm)]
    real = np.array([is_real for _, is_real in atoms], dtype=bool)
    if not real.any():
        return 0.0
    numbers = np.array([charge(symbol) for symbol, is_real in atoms if is_real])
    positions = mol.atom_coords()[real]
    damping = {name: getattr(dispersion, name) for name in ("s6", "s8", "s9", "a1", "a2")}
    try:
        if dispersion.kind == "D4":
            model = program.DispersionModel(numbers, positions, charge=float(mol.charge))
            param = program.DampingParam(**damping)
        else:
            model = program.DispersionModel(numbers, positions)
            param = program.RationalDampingParam(**damping)
        return float(model.get_dispersion(param, grad=False)["energy"])
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{_PACKAGES[dispersion.kind]} cannot compute the dispersion energy ({error}); leave "
            "it out (--no-dispersion, dispersion=False)"
        ) from error
