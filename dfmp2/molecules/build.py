"""Make a PySCF molecule from a geometry, a basis, a charge and a spin."""

from __future__ import annotations

from typing import Any

from dfmp2.errors import CheckpointError, InputError
from dfmp2.molecules.advice import without_advice
from dfmp2.molecules.basis import choose_basis, pure_symbol
from dfmp2.molecules.basis_files import checked_basis, checked_potential, name_of_text
from dfmp2.molecules.electrons import require_decided
from dfmp2.molecules.geometry import Geometry
from dfmp2.molecules.plain import Mole, PlainMolecule, element_of
from dfmp2.molecules.potentials import choose_ecp
from dfmp2.settings import BasisSpec

__all__ = ["build_mole", "rebuild_mole"]


def build_mole(
    geometry: Geometry,
    basis: BasisSpec,
    charge: int | None = None,
    spin: int | None = None,
    ecp: BasisSpec = "auto",
    source: str = "molecule",
) -> Mole:
    """Make the PySCF molecule.

    Parameters
    ----------
    geometry : Geometry
    basis : str or dict
        Orbital basis in a form that PySCF accepts.
    charge, spin : int, optional
        Charge, and number of unpaired electrons (2S). If not given, those of the geometry, or 0.
    ecp : str or dict
        Effective core potentials, as for `choose_ecp`.
    source : str
        Name of the molecule, for error messages.

    Returns
    -------
    pyscf.gto.Mole

    Raises
    ------
    InputError
        If the basis is unknown or lacks an element, or if charge and spin are impossible or not
        clear.
    """
    from pyscf import gto

    require_decided(geometry.stated, charge, spin)
    charge = next((c for c in (charge, geometry.charge) if c is not None), 0)
    spin = next((s for s in (spin, geometry.spin) if s is not None), 0)
    symbols = sorted({symbol for symbol, _ in geometry.atoms})
    _check_charge(geometry, charge, source)
    mol = gto.Mole()
    mol.atom = [(symbol, xyz) for symbol, xyz in geometry.atoms]
    mol.basis, mol.ecp = choose_basis(basis, symbols, source), choose_ecp(basis, symbols, ecp)
    mol.charge, mol.verbose = charge, 0
    mol.spin = None  # PySCF does not check it; `_check_electrons` does
    mol.build(parse_arg=False, dump_input=False)
    _check_electrons(mol, charge, spin, source)
    mol.spin = spin
    return mol


def rebuild_mole(plain: PlainMolecule, source: str) -> Mole:
    """Make a PySCF molecule from its description in plain data.

    Parameters
    ----------
    plain : PlainMolecule
    source : str
        File that it was read from, for error messages.

    Returns
    -------
    pyscf.gto.Mole

    Raises
    ------
    CheckpointError
        If PySCF refuses the molecule.
    """
    from pyscf import gto

    mol = gto.Mole(verbose=0, unit="Bohr", charge=plain.charge, spin=plain.spin)
    mol.cart = plain.cart
    try:
        mol.basis = {key: _checked(value, key) for key, value in plain.basis.items()}
        mol.ecp = {key: _checked(value, key, ecp=True) for key, value in plain.ecp.items()}
        mol.atom = list(zip(plain.symbols, plain.coordinates, strict=True))
        with without_advice():
            mol.build(parse_arg=False, dump_input=False)
    except (
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
        AttributeError,
        AssertionError,
    ) as error:
        raise CheckpointError(
            f"{source}: its molecule {plain.name} cannot be built again "
            f"({type(error).__name__}: {error}); the file was changed, or this version of PySCF "
            "lacks its basis"
        ) from error
    return mol


def _check_charge(geometry: Geometry, charge: int, source: str) -> None:
    """Refuse an anion that has lost all sense: PySCF keeps charges in 32 bits."""
    from pyscf.data.elements import ELEMENTS

    labels = [element_of(label) for label, _ in geometry.atoms]
    nuclear = sum(ELEMENTS.index(element) for element, real in labels if real)
    if charge < -nuclear:
        raise InputError(
            f"{source}: charge {charge} adds more electrons than all nuclear charges ({nuclear}); "
            "check --charge"
        )


def _checked(value: Any, key: str, ecp: bool = False) -> Any:
    """Refuse a text that PySCF would run as code; a file can have been changed."""
    if isinstance(value, str) and "\n" in value:
        check = checked_potential if ecp else checked_basis
        return check(value, name_of_text(value) or "basis", pure_symbol(key))
    return value


def _check_electrons(mol: Mole, charge: int, spin: int, source: str) -> None:
    nelec = int(mol.tot_electrons())
    if nelec < 0:
        raise InputError(f"{source}: charge {charge:+d} leaves {nelec} electrons; check --charge")
    if spin < 0 or spin > nelec:
        raise InputError(
            f"{source}: spin {spin} (unpaired electrons) is impossible for {nelec} electrons; "
            "check --charge and --spin"
        )
    if (nelec - spin) % 2:
        advice = "check --charge and --spin"
        if spin:
            advice += (
                f"; if {spin} is the multiplicity, as in some data sets, give --spin {spin - 1}"
            )
        raise InputError(
            f"{source}: {nelec} electrons cannot have spin {spin} (unpaired electrons); {advice}"
        )
