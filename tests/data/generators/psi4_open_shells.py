"""Compute DF-MP2 energies of open shells with psi4 and write them to tests/data/open_shells.json.

Exact UHF and ROHF, then DF-MP2 with the RI set of the basis, with and without frozen core. The
basis sets are psi4's own; those of PySCF have the same exponents and coefficients. From the
repository root:

    psi4 tests/data/generators/psi4_open_shells.py output.txt
"""

import json
import sys
from pathlib import Path

import psi4

sys.path.insert(0, ".")
from tests.spins import OPEN_SHELLS

CALCULATIONS = [(name, "cc-pvdz") for name in ("NH2", "O2", "CH3", "H2O+", "NO2", "CH2")]
CALCULATIONS += [(name, "cc-pvtz") for name in ("NH2", "O2", "CH2")]

rows = {}
for name, basis in CALCULATIONS:
    atoms, charge, spin = OPEN_SHELLS[name]
    text = f"{charge} {spin + 1}\n{atoms}".replace("; ", "\n")
    for reference in ("uhf", "rohf"):
        for frozen in (False, True):
            psi4.core.clean()
            psi4.core.clean_variables()
            psi4.geometry(f"{text}\nsymmetry c1\nno_com\nno_reorient")
            psi4.set_options(
                {
                    "basis": basis, "df_basis_mp2": f"{basis}-ri", "reference": reference,
                    "scf_type": "pk", "mp2_type": "df", "e_convergence": 1e-11,
                    "d_convergence": 1e-10, "freeze_core": frozen, "guess": "gwh",
                }
            )  # fmt: skip
            psi4.energy("mp2")
            rows[f"{name}/{basis}/{reference}/{'core' if frozen else 'all'}"] = {
                "molecule": text,
                "e_hf": psi4.variable("SCF TOTAL ENERGY"),
                "e_singles": psi4.variable("MP2 SINGLES ENERGY"),
                "e_corr_os": psi4.variable("MP2 OPPOSITE-SPIN CORRELATION ENERGY"),
                "e_corr_ss": psi4.variable("MP2 SAME-SPIN CORRELATION ENERGY"),
                "e_corr": psi4.variable("MP2 CORRELATION ENERGY"),
            }
target = Path("tests/data/open_shells.json")
target.write_text(json.dumps({"program": "psi4 1.3.2", "rows": rows}, indent=1) + "\n")
