"""What makes the Hamiltonian of a mean field another one than that of its plain molecule.

A result names it: its number is that of a molecule in a field, in a solvent, or with relativity.
The names are texts for the table and for JSON.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dfmp2.errors import UnsupportedReferenceError

__all__ = [
    "REPEATABLE",
    "SGX",
    "decorations",
    "is_sgx",
    "not_repeatable",
    "of_molecule",
    "refuse_model",
]

REPEATABLE = "sfX2C1e"
"""The one decoration that `dfmp2.references.scf` can repeat from its name."""

SGX = "SGX (COSX)"

METHODS = (
    "get_hcore",
    "get_ovlp",
    "get_jk",
    "get_j",
    "get_k",
    "get_veff",
    "energy_elec",
    "energy_nuc",
    "energy_tot",
)
"""Methods of a mean field that define its Hamiltonian or its energy."""

PLAIN = ("scf", "df", "dft", "soscf", "lib", "x2c", "qmmm", "solvent", "sgx")
"""Packages of PySCF. `decorations` names those that change the Hamiltonian, by other means."""

SAME_INTEGRAL = 1e-8
"""Hartree. An integral (mm|mm) that differs more is not that of the molecule."""

FITTED_INTEGRAL = 5e-3
"""Hartree. Integrals that were fitted before the SCF differ less."""


def decorations(mf: Any) -> tuple[str, ...]:
    """Names of all that changes the Hamiltonian or the energy of a mean field.

    Parameters
    ----------
    mf : pyscf.scf.hf.SCF

    Returns
    -------
    tuple of str
        Empty for a plain mean field, density-fitted or not.
    """
    found = []
    if x2c := getattr(mf, "with_x2c", None):
        found.append(_x2c(x2c))
    if (charges := getattr(mf, "mm_mol", None)) is not None:
        found.append(f"QM/MM, {charges.natm} point charges")
    if solvent := getattr(mf, "with_solvent", None):
        found.append(_solvent(solvent))
    if is_sgx(mf):
        found.append(SGX)
    dispersion = getattr(mf, "disp", None)
    if dispersion or getattr(mf, "scf_summary", {}).get("dispersion"):
        found.append(f"dispersion {dispersion or ''}".rstrip())
    return (*found, *_replaced(mf), *_own_integrals(mf), *of_molecule(mf.mol))


def is_sgx(mf: Any) -> bool:
    """Whether the exchange of a mean field is seminumerical. Its `with_df` is no DF object then."""
    return type(getattr(mf, "with_df", None)).__module__.startswith("pyscf.sgx")


def of_molecule(mol: Any) -> tuple[str, ...]:
    """Names of what a molecule has beside its atoms, basis sets, charge and spin.

    Parameters
    ----------
    mol : pyscf.gto.Mole
    """
    found = []
    if mol.nucmod:
        found.append("nuclei of finite size")
    elif _unusual_charges(mol):
        found.append("nuclear charges of its own")
    if getattr(mol, "_pseudo", None):
        found.append("pseudopotential (mol.pseudo)")
    if omega := mol.omega:
        found.append(f"range-separated Coulomb operator, omega={omega:g}")
    if getattr(mol, "_nelectron", None) is not None:
        found.append(f"nelectron={mol.nelectron}")
    return tuple(found)


def _x2c(x2c: Any) -> str:
    spinfree = "SpinFree" in type(x2c).__name__
    name = REPEATABLE if spinfree else "X2C"
    plain = (x2c.approx, x2c.xuncontract, x2c.basis) == ("1e", True, None)
    return name if plain else f"{name} ({x2c.approx}, other basis or approximation)"


def _solvent(solvent: Any) -> str:
    name = {"DDCOSMO": "ddCOSMO", "DDPCM": "ddPCM"}.get(
        type(solvent).__name__, type(solvent).__name__
    )
    method = getattr(solvent, "method", None)
    parts = [f"method={method}"] if method and method != name else []
    named = getattr(solvent, "solvent", None)
    if isinstance(named, str) and named:
        parts.append(f"solvent={named}")
    elif isinstance(getattr(solvent, "eps", None), (int, float)):
        parts.append(f"eps={solvent.eps:g}")
    return f"solvent {name}" + (f" ({', '.join(parts)})" if parts else "")


def _replaced(mf: Any) -> list[str]:
    """Methods that a user replaced in the object, or that a class outside PySCF defines."""
    found = []
    for name in METHODS:
        if name in vars(mf):
            found.append(f"own {name}")
            continue
        owner = next((c for c in type(mf).__mro__ if name in vars(c)), None)
        if owner is not None and not _is_plain(owner.__module__):
            found.append(f"own {name} ({owner.__name__})")
    return found


def _is_plain(module: str) -> bool:
    package, _, rest = module.partition(".")
    return package in ("pyscf", "gpu4pyscf") and rest.split(".")[0] in PLAIN


def _own_integrals(mf: Any) -> list[str]:
    """Two-electron integrals in ``mf._eri`` that are not those of the molecule.

    One integral of the first shell is compared: a model Hamiltonian has other ones.
    """
    return [] if _difference(mf) <= SAME_INTEGRAL else ["own integrals (mf._eri)"]


def _difference(mf: Any) -> float:
    eri, mol = getattr(mf, "_eri", None), mf.mol
    if not isinstance(eri, np.ndarray) or not eri.size or not mol.nbas:
        return 0.0
    return abs(float(eri.flat[0]) - float(mol.intor("int2e", shls_slice=(0, 1) * 4).flat[0]))


def refuse_model(mf: Any) -> None:
    """Refuse a mean field whose integrals are not those of basis functions, as of Hubbard's model.

    MP2 would take the integrals of its molecule, which has none or is only there for the form.

    Parameters
    ----------
    mf : pyscf.scf.hf.SCF

    Raises
    ------
    UnsupportedReferenceError
    """
    mol, what = mf.mol, ""
    if not mol.nbas:
        what = "the molecule has no basis functions"
    elif _difference(mf) > FITTED_INTEGRAL:
        what = "mf._eri holds other integrals than those of the molecule"
    elif any(name.startswith("own get_ovlp") for name in _replaced(mf)):
        overlap, own = np.asarray(mf.get_ovlp()), mol.intor_symmetric("int1e_ovlp")
        if overlap.shape != own.shape or np.abs(overlap - own).max() > SAME_INTEGRAL:
            what = "mf.get_ovlp gives another overlap than that of the molecule"
    if what:
        raise UnsupportedReferenceError(
            f"{what}, as in a model Hamiltonian. DF-MP2 needs the basis functions; use "
            "pyscf.mp.MP2(mf), which takes mf._eri. If the molecule was changed after the SCF, run "
            "the SCF again"
        )


def _unusual_charges(mol: Any) -> bool:
    from pyscf.data.elements import charge

    from dfmp2.molecules.plain import element_of

    for i, found in enumerate(mol.atom_charges()):
        symbol = mol.atom_symbol(i)
        element, real = element_of(symbol)
        if not real:
            if found:
                return True
            continue
        if found != charge(element) - mol.atom_nelec_core(i):
            return True
    return False


def not_repeatable(hamiltonian: tuple[str, ...]) -> str:
    """What `dfmp2.references.scf` cannot repeat from its name, as text; empty if it can all."""
    return ", ".join(name for name in hamiltonian if name != REPEATABLE)
