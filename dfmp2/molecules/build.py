"""From a geometry, a basis and an electron count to a PySCF molecule."""

from __future__ import annotations

import warnings
from typing import Any

from dfmp2.errors import DFMP2Warning, InputError
from dfmp2.molecules.basis import available_ecp, basis_entry, check_basis, pure_symbol
from dfmp2.molecules.plain import PlainMolecule, element_of
from dfmp2.molecules.xyz import Geometry
from dfmp2.settings import BasisSpec

__all__ = ["build_mole", "rebuild_mole", "warn_missing_ecp"]


def build_mole(
    geometry: Geometry,
    basis: BasisSpec,
    charge: int | None = None,
    spin: int | None = None,
    ecp: str = "auto",
    source: str = "molecule",
) -> Any:
    """Make the PySCF molecule.

    Parameters
    ----------
    geometry : Geometry
    basis : str or dict
        Orbital basis, as PySCF takes it.
    charge, spin : int, optional
        Charge, and number of unpaired electrons (2S). They win over the geometry's own; the
        default is 0.
    ecp : str
        "auto" takes the effective core potentials that belong to `basis`; "none" takes none; any
        other string is the name of a set.
    source : str
        Name of the molecule, for error messages.

    Returns
    -------
    pyscf.gto.Mole

    Raises
    ------
    InputError
        For a basis that is unknown or lacks an element, or electrons that do not fit the spin.
    """
    from pyscf import gto

    charge = next((c for c in (charge, geometry.charge) if c is not None), 0)
    spin = next((s for s in (spin, geometry.spin) if s is not None), 0)
    symbols = sorted({symbol for symbol, _ in geometry.atoms})
    check_basis(basis, symbols, source)
    mol = gto.Mole()
    mol.atom = [(symbol, xyz) for symbol, xyz in geometry.atoms]
    mol.basis, mol.ecp = basis, _ecp_spec(basis, symbols, ecp)
    mol.charge, mol.verbose = charge, 0
    mol.spin = None  # the electron count is checked below, with a message of our own
    mol.build(parse_arg=False, dump_input=False)
    _check_electrons(mol, charge, spin, source)
    mol.spin = spin
    return mol


def _ecp_spec(basis: BasisSpec, symbols: list[str], ecp: str) -> dict[str, str]:
    if ecp == "none":
        return {}
    real = [s for s in symbols if element_of(s)[1]]
    if ecp == "auto":
        named = {s: available_ecp(basis_entry(basis, s), s) for s in real}
        return {s: name for s, name in named.items() if name is not None}
    chosen = {s: ecp for s in real if available_ecp(ecp, s) is not None}
    if not chosen:
        raise InputError(
            f"ECP {ecp!r} is unknown to PySCF or has none for {', '.join(real)}; use --ecp auto"
        )
    return chosen


def warn_missing_ecp(mol: Any) -> tuple[str, ...]:
    """Warn for each element whose basis was made for an ECP that the molecule does not use.

    Parameters
    ----------
    mol : pyscf.gto.Mole

    Returns
    -------
    tuple of str
        The warnings, which belong to the result.

    Warns
    -----
    DFMP2Warning
    """
    found = []
    for symbol in sorted({mol.atom_symbol(i) for i in range(mol.natm)}):
        real = element_of(symbol)[1]
        if not real or symbol in mol._ecp or pure_symbol(symbol) in mol._ecp:
            continue
        if (name := available_ecp(basis_entry(mol.basis, symbol), symbol)) is not None:
            found.append(
                f"{name} on {symbol} was made for an effective core potential, but none is used: "
                f"the energy has no meaning (set ecp={name!r})"
            )
            warnings.warn(found[-1], DFMP2Warning, stacklevel=3)
    return tuple(found)


def rebuild_mole(plain: PlainMolecule) -> Any:
    """The PySCF molecule of a description in plain data."""
    from pyscf import gto

    mol = gto.Mole(verbose=0, unit="Bohr", charge=plain.charge, spin=plain.spin)
    mol.atom = list(zip(plain.symbols, plain.coordinates, strict=True))
    mol.basis, mol.ecp, mol.cart = plain.basis, plain.ecp, plain.cart
    mol.build(parse_arg=False, dump_input=False)
    return mol


def _check_electrons(mol: Any, charge: int, spin: int, source: str) -> None:
    nelec = int(mol.tot_electrons())
    if nelec < 0:
        raise InputError(f"{source}: charge {charge:+d} leaves {nelec} electrons; check --charge")
    if spin < 0 or spin > nelec:
        raise InputError(
            f"{source}: spin {spin} (unpaired electrons) is impossible for {nelec} electrons"
        )
    if (nelec - spin) % 2:
        raise InputError(
            f"{source}: {nelec} electrons cannot have spin {spin} (unpaired electrons); "
            "check --charge and --spin"
        )
