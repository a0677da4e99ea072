"""Make a PySCF molecule from a geometry, a basis, a charge and a spin."""

from __future__ import annotations

import warnings

from dfmp2.errors import CheckpointError, DFMP2Warning, InputError
from dfmp2.molecules.advice import without_advice
from dfmp2.molecules.basis import available_ecp, basis_entry, check_basis, pure_symbol
from dfmp2.molecules.electrons import require_decided
from dfmp2.molecules.geometry import Geometry
from dfmp2.molecules.plain import Mole, PlainMolecule, element_of
from dfmp2.settings import BasisSpec

__all__ = ["build_mole", "rebuild_mole", "warn_missing_ecp"]


def build_mole(
    geometry: Geometry,
    basis: BasisSpec,
    charge: int | None = None,
    spin: int | None = None,
    ecp: str = "auto",
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
    ecp : str
        "auto" uses the effective core potentials that belong to `basis`. "none" uses none. Any
        other string is the name of a set.
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
    check_basis(basis, symbols, source)
    _check_charge(geometry, charge, source)
    mol = gto.Mole()
    mol.atom = [(symbol, xyz) for symbol, xyz in geometry.atoms]
    mol.basis, mol.ecp = basis, _ecp_spec(basis, symbols, ecp)
    mol.charge, mol.verbose = charge, 0
    mol.spin = None  # PySCF does not check it; `_check_electrons` does
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


def warn_missing_ecp(mol: Mole) -> tuple[str, ...]:
    """Warn if a basis was made for an ECP that the molecule does not use.

    Parameters
    ----------
    mol : pyscf.gto.Mole

    Returns
    -------
    tuple of str
        One warning per element. They are also written to the result.

    Warns
    -----
    DFMP2Warning
        For each such element.
    """
    found = []
    for symbol in sorted({mol.atom_symbol(i) for i in range(mol.natm)}):
        real = element_of(symbol)[1]
        if not real or symbol in mol._ecp or pure_symbol(symbol) in mol._ecp:
            continue
        if (name := available_ecp(basis_entry(mol.basis, symbol), symbol)) is not None:
            found.append(
                f"{name} on {symbol} was made for an effective core potential, but none is used: "
                f"the energy is meaningless (set ecp={name!r})"
            )
            warnings.warn(found[-1], DFMP2Warning, stacklevel=3)
    return tuple(found)


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
    mol.basis, mol.ecp, mol.cart = plain.basis, plain.ecp, plain.cart
    try:
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
