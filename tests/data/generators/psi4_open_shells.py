"""Compute DF-MP2 energies of open shells with psi4 and write them to tests/data/open_shells.json.

Exact UHF and ROHF, then DF-MP2 with cc-pVDZ-RI, with and without frozen core. The basis sets are
psi4's own; those of PySCF have the same exponents and coefficients. From the repository root:

    psi4 tests/data/generators/psi4_open_shells.py output.txt
"""

import json
from pathlib import Path

import psi4

MOLECULES = {
    "NH2": "0 2\nN 0 0 0.1420\nH 0 0.8060 -0.4971\nH 0 -0.8060 -0.4971",
    "O2": "0 3\nO 0 0 0\nO 0 0 1.2075",
    "CH3": "0 2\nC 0 0 0\nH 0 1.079 0\nH 0.9344414 -0.5395 0\nH -0.9344414 -0.5395 0",
    "H2O+": "1 2\nO 0 0 0.1173\nH 0 0.7572 -0.4692\nH 0 -0.7572 -0.4692",
}

rows = {}
for name, text in MOLECULES.items():
    for reference in ("uhf", "rohf"):
        for frozen in (False, True):
            psi4.core.clean()
            psi4.core.clean_variables()
            psi4.geometry(f"{text}\nsymmetry c1\nno_com\nno_reorient")
            psi4.set_options(
                {
                    "basis": "cc-pvdz", "df_basis_mp2": "cc-pvdz-ri", "reference": reference,
                    "scf_type": "pk", "mp2_type": "df", "e_convergence": 1e-11,
                    "d_convergence": 1e-10, "freeze_core": frozen, "guess": "gwh",
                }
            )  # fmt: skip
            psi4.energy("mp2")
            rows[f"{name}/{reference}/{'core' if frozen else 'all'}"] = {
                "molecule": text,
                "e_hf": psi4.variable("SCF TOTAL ENERGY"),
                "e_singles": psi4.variable("MP2 SINGLES ENERGY"),
                "e_corr_os": psi4.variable("MP2 OPPOSITE-SPIN CORRELATION ENERGY"),
                "e_corr_ss": psi4.variable("MP2 SAME-SPIN CORRELATION ENERGY"),
                "e_corr": psi4.variable("MP2 CORRELATION ENERGY"),
            }
target = Path("tests/data/open_shells.json")
target.write_text(json.dumps({"program": "psi4 1.3.2", "rows": rows}, indent=1) + "\n")
