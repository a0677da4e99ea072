"""Compute DF-MP2 gradients with psi4 and write them to tests/data/gradients.json.

Density-fitted RHF and UHF (cc-pVDZ-JKFIT), then DF-MP2 with cc-pVDZ-RI. Coordinates are in bohr, so
that no conversion factor enters. The basis sets are psi4's own; those of PySCF have the same
exponents and coefficients. From the repository root:

    psi4 tests/data/generators/psi4_gradients.py output.txt
"""

import json
from pathlib import Path

import numpy as np
import psi4

MOLECULES = {
    "water": "0 1\nO 0.0 0.05 0.22\nH 0.1 1.43 -0.89\nH 0.0 -1.50 -0.85",
    "ammonia": "0 1\nN 0.05 0.0 0.21\nH 0.0 1.77 -0.50\nH 1.56 -0.88 -0.51\nH -1.50 -0.90 -0.45",
    "HF": "0 1\nF 0 0 0.1\nH 0.1 0.2 1.85",
    "H2CO": "0 1\nC 0 0.05 -1.0\nO 0 0 1.30\nH 0.1 1.80 -2.10\nH 0 -1.75 -2.15",
    "NH2": "0 2\nN 0 0.05 0.27\nH 0.1 1.52 -0.94\nH 0 -1.50 -0.96",
    "CH3": "0 2\nC 0.1 0 0.05\nH 0 2.05 0\nH 1.77 -1.02 0.1\nH -1.76 -1.05 0",
}

rows = {}
for name, text in MOLECULES.items():
    for frozen in (False, True):
        psi4.core.clean()
        psi4.core.clean_variables()
        mol = psi4.geometry(f"{text}\nunits bohr\nsymmetry c1\nno_com\nno_reorient")
        psi4.set_options(
            {
                "basis": "cc-pvdz", "df_basis_scf": "cc-pvdz-jkfit", "df_basis_mp2": "cc-pvdz-ri",
                "reference": "rhf" if mol.multiplicity() == 1 else "uhf", "scf_type": "df",
                "mp2_type": "df", "e_convergence": 1e-11, "d_convergence": 1e-11,
                "freeze_core": frozen, "pcg_convergence": 1e-11, "r_convergence": 1e-10,
            }
        )  # fmt: skip
        gradient = psi4.gradient("mp2")
        rows[f"{name}/{'core' if frozen else 'all'}"] = {
            "molecule": text,
            "e_tot": psi4.variable("MP2 TOTAL ENERGY"),
            "gradient": np.asarray(gradient).tolist(),
        }
target = Path("tests/data/gradients.json")
target.write_text(json.dumps({"program": "psi4 1.3.2", "rows": rows}, indent=1) + "\n")
