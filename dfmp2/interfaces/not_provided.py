"""Attributes of PySCF's MP2 classes that `DFMP2` does not have, and what to use instead."""

from __future__ import annotations

from dfmp2.errors import NotProvidedError

__all__ = ["require_provided"]

_DENSITIES = (
    "dfmp2 computes no densities yet; use pyscf.mp.dfmp2_native.DFMP2(mf, auxbasis=...), which has "
    "make_rdm1 and make_natorbs"
)
_AMPLITUDES = (
    "amplitudes are never stored; use pyscf.mp.dfmp2.DFMP2, or pair_energies for energies by pair"
)
_GRADIENT = "dfmp2 computes no gradients yet; pyscf.mp.MP2(mf) has those of MP2 without fitting"
_SOLVENT = "put the solvent on the mean field, as in mf.PCM(), and give that to DFMP2"
_ITERATIONS = "MP2 on canonical orbitals has no iterations; SCF options belong to the mean field"
_INTEGRALS = "dfmp2 keeps no integrals that a script can use; see the attribute integrals"
_ORBITALS = "use mo_coeff, mo_energy and mo_occ with get_frozen_mask()"
_OPEN_SHELLS = "open shells are not treated yet; use pyscf.mp.dfump2_native.DFUMP2"
_SCALING = "use e_tot_scs or e_tot_sos, or scale e_corr_os and e_corr_ss"

_INSTEAD = {
    "DDCOSMO": _SOLVENT,
    "Gradients": _GRADIENT,
    "PCM": _SOLVENT,
    "SMD": _SOLVENT,
    "ao2mo": _INTEGRALS,
    "auxmol": "use auxbasis; plan() and result name the set that is used",
    "calculate_energy": "use kernel()",
    "calculate_integrals_": "use kernel()",
    "conv_tol": _ITERATIONS,
    "conv_tol_normt": _ITERATIONS,
    "cphf_max_cycle": _DENSITIES,
    "cphf_tol": _DENSITIES,
    "ddCOSMO": _SOLVENT,
    "delete": "dfmp2 removes its temporary files itself",
    "diis": _ITERATIONS,
    "diis_space": _ITERATIONS,
    "dip_moment": _DENSITIES,
    "e_scf": "use e_hf",
    "energy": "use e_corr",
    "eris": _INTEGRALS,
    "force_outcore": "set max_memory; B is kept on disk where it does not fit",
    "frozen_mask": "use get_frozen_mask(), which is False for frozen orbitals",
    "has_ints": _INTEGRALS,
    "init_amps": _AMPLITUDES,
    "level_shift": _ITERATIONS,
    "make_fno": _DENSITIES,
    "make_natorbs": _DENSITIES,
    "make_rdm1": _DENSITIES,
    "make_rdm1_relaxed": _DENSITIES,
    "make_rdm1_unrelaxed": _DENSITIES,
    "make_rdm2": _AMPLITUDES,
    "max_cycle": _ITERATIONS,
    "nuc_grad_method": _GRADIENT,
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
