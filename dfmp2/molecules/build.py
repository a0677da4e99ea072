"""From what a user names to a PySCF molecule: the only place that reads geometry files."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

from dfmp2.errors import DFMP2Warning, InputError
from dfmp2.molecules.xyz import Geometry, check_fields, parse_xyz, refuse_overlap

__all__ = [
    "available_ecp",
    "basis_entry",
    "build_mole",
    "is_chkfile",
    "read_geometry",
    "warn_missing_ecp",
]

BasisSpec = Any  # a basis name, or a dict of element -> name, with "default"


def is_chkfile(source: str) -> bool:
    """Whether the file is an HDF5 file, which is how PySCF writes chkfiles."""
    import h5py

    return Path(source).is_file() and bool(h5py.is_hdf5(source))


def read_geometry(source: str) -> Geometry:
    """Read a geometry from an XYZ file, standard input ("-") or any format of PySCF.

    Parameters
    ----------
    source : str
        Path, or "-" for XYZ on standard input.

    Returns
    -------
    Geometry

    Raises
    ------
    InputError
        If the file is missing or cannot be understood; the message names file and line.
    """
    if source == "-":
        return parse_xyz(sys.stdin.read(), "<stdin>")
    path = Path(source)
    if not path.exists():
        raise InputError(f"{source}: no such file")
    if path.is_dir():
        raise InputError(f"{source}: is a folder; name a geometry file in it")
    if path.suffix.lower() == ".xyz":
        try:
            return parse_xyz(path.read_text(encoding="utf-8-sig"), source)
        except UnicodeDecodeError as error:
            raise InputError(f"{source}: is not a text file ({error.reason})") from error
        except OSError as error:
            raise InputError(f"{source}: cannot be read ({error.strerror})") from error
    return _read_with_pyscf(source)


def _read_with_pyscf(source: str) -> Geometry:
    from pyscf.gto import mole

    sdf = Path(source).suffix.lower() == ".sdf"
    try:
        text = mole.fromfile(source)
        lines = check_fields(text, source, 5 if sdf else 1)
        atoms = mole.format_atom(text, unit=1)
    except InputError:
        raise
    except (ValueError, LookupError, RuntimeError, AssertionError, OSError) as error:
        raise InputError(
            f"{source}: PySCF cannot read this geometry ({type(error).__name__}: {error}); "
            "an .xyz file says more about its mistakes"
        ) from error
    found = tuple((symbol, (x, y, z)) for symbol, (x, y, z) in atoms)
    refuse_overlap(found, source, lines)
    return Geometry(found)


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
    _check_basis(basis, symbols, source)
    mol = gto.Mole()
    mol.atom = [(symbol, xyz) for symbol, xyz in geometry.atoms]
    mol.basis, mol.ecp = basis, _ecp_spec(basis, symbols, ecp)
    mol.charge, mol.verbose = charge, 0
    mol.spin = None  # the electron count is checked below, with a message of our own
    mol.build(parse_arg=False, dump_input=False)
    _check_electrons(mol, charge, spin, source)
    mol.spin = spin
    return mol


def basis_entry(basis: BasisSpec, symbol: str) -> Any:
    """What a basis says about one atom: by its label, else by its element, else by "default".

    Parameters
    ----------
    basis : str or dict
        Keys are read as PySCF reads them: symbols in any case, or nuclear charges.
    symbol : str
        As labelled in the molecule, such as ``H1`` or ``Ghost-O``.

    Returns
    -------
    str, shells or None
        None where nothing applies.
    """
    if not isinstance(basis, dict):
        return basis
    from pyscf.data.elements import ELEMENTS

    def name(key: str | int) -> str:
        return (ELEMENTS[key] if isinstance(key, int) else key).upper()

    entries = {name(key): value for key, value in basis.items()}
    keys = (symbol, symbol.rstrip("0123456789"), _element(symbol), "default")
    return next((entries[key.upper()] for key in keys if key.upper() in entries), None)


def _is_ghost(symbol: str) -> bool:
    from pyscf.data.elements import is_ghost_atom

    return bool(is_ghost_atom(symbol))


def _element(symbol: str) -> str:
    from pyscf.data.elements import _std_symbol_without_ghost

    return str(_std_symbol_without_ghost(symbol))


def _check_basis(basis: BasisSpec, symbols: list[str], source: str) -> None:
    from pyscf import gto
    from pyscf.lib.exceptions import BasisNotFoundError

    for symbol in symbols:
        name = basis_entry(basis, symbol)
        if name is None:
            raise InputError(f"{source}: the basis has no entry for {symbol} and no 'default'")
        if not isinstance(name, str):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # advice to install a package
                gto.basis.load(name, _element(symbol))
        except (BasisNotFoundError, KeyError) as error:
            known = "Unknown basis" not in str(error) and isinstance(error, BasisNotFoundError)
            what = f"has no functions for {_element(symbol)}" if known else "is unknown to PySCF"
            raise InputError(
                f"{source}: basis {name!r} {what}; name another basis, such as def2-svp"
            ) from error


def available_ecp(basis: Any, symbol: str) -> str | None:
    """Name of the effective core potential that belongs to a basis for an element, or None."""
    from pyscf import gto

    if not isinstance(basis, str) or "\n" in basis:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found = gto.basis.load_ecp(basis, _element(symbol))
    except (RuntimeError, LookupError):  # BasisNotFoundError, or no entry in PySCF's table
        return None
    return basis if found else None


def _ecp_spec(basis: BasisSpec, symbols: list[str], ecp: str) -> dict[str, str]:
    if ecp == "none":
        return {}
    real = [s for s in symbols if not _is_ghost(s)]
    if ecp == "auto":
        named = {s: available_ecp(basis_entry(basis, s), s) for s in real}
        return {s: name for s, name in named.items() if name is not None}
    chosen = {s: ecp for s in real if available_ecp(ecp, s) is not None}
    if not chosen:
        raise InputError(
            f"ECP {ecp!r} is unknown to PySCF or has none for {', '.join(real)}; use --ecp auto"
        )
    return chosen


def warn_missing_ecp(mol: Any) -> None:
    """Warn for each element whose basis was made for an ECP that the molecule does not use.

    Parameters
    ----------
    mol : pyscf.gto.Mole
    """
    for symbol in sorted({mol.atom_symbol(i) for i in range(mol.natm)}):
        if _is_ghost(symbol) or symbol in mol._ecp or _element(symbol) in mol._ecp:
            continue
        if (name := available_ecp(basis_entry(mol.basis, symbol), symbol)) is not None:
            warnings.warn(
                f"{name} on {symbol} was made for an effective core potential, but none is used: "
                f"the energy has no meaning (set ecp={name!r})",
                DFMP2Warning,
                stacklevel=3,
            )


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
