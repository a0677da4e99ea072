"""Attributes of PySCF's MP2 classes that `DFMP2` does not have, and what to use instead."""

from __future__ import annotations

from dfmp2.errors import NotProvidedError

__all__ = ["require_provided"]

_RESPONSE = "dfmp2 solves the response equations with thresholds of its own"
_AMPLITUDES = (
    "amplitudes are never stored; use pyscf.mp.dfmp2.DFMP2, or pair_energies for energies by pair"
)
_SOLVENT = "put the solvent on the mean field, as in mf.PCM(), and give that to DFMP2"
_ITERATIONS = "MP2 on canonical orbitals has no iterations; SCF options belong to the mean field"
_INTEGRALS = "dfmp2 keeps no integrals that a script can use; see the attribute integrals"
_ORBITALS = "use mo_coeff, mo_energy and mo_occ with get_frozen_mask()"
_OPEN_SHELLS = "open shells are not treated yet; use pyscf.mp.dfump2_native.DFUMP2"
_SCALING = "use e_tot_scs or e_tot_sos, or scale e_corr_os and e_corr_ss"

_INSTEAD = {
    "DDCOSMO": _SOLVENT,
    "PCM": _SOLVENT,
    "SMD": _SOLVENT,
    "ao2mo": _INTEGRALS,
    "auxmol": "use auxbasis; plan() and result name the set that is used",
    "calculate_energy": "use kernel()",
    "calculate_integrals_": "use kernel()",
    "conv_tol": _ITERATIONS,
    "conv_tol_normt": _ITERATIONS,
    "cphf_max_cycle": _RESPONSE,
    "cphf_tol": _RESPONSE,
    "ddCOSMO": _SOLVENT,
    "delete": "dfmp2 removes its temporary files itself",
    "diis": _ITERATIONS,
    "diis_space": _ITERATIONS,
    "e_scf": "use e_hf",
    "energy": "use e_corr",
    "eris": _INTEGRALS,
    "force_outcore": "set max_memory; B is kept on disk where it does not fit",
    "frozen_mask": "use get_frozen_mask(), which is False for frozen orbitals",
    "has_ints": _INTEGRALS,
    "init_amps": _AMPLITUDES,
    "level_shift": _ITERATIONS,
    "make_fno": "use natural_orbitals(), whose virtual ones can be cut by occupation",
    "make_rdm2": _AMPLITUDES,
    "max_cycle": _ITERATIONS,
    "occ_mask": _ORBITALS,
    "ps": _SCALING,
    "pt": _SCALING,
    "split_mo_coeff": _ORBITALS,
    "split_mo_energy": _ORBITALS,
    "split_mo_occ": _ORBITALS,
    "to_ghf": _OPEN_SHELLS,
    "to_uhf": _OPEN_SHELLS,
    "update_amps": _AMPLITUDES,
    "with_t2": _AMPLITUDES,
}


def require_provided(name: str) -> None:
    """Refuse a name that PySCF's MP2 classes have and `DFMP2` does not.

    Raises
    ------
    NotProvidedError
        The message says what to use instead.
    """
    if name in _INSTEAD:
        raise NotProvidedError(f"DFMP2 has no {name}: {_INSTEAD[name]}")
