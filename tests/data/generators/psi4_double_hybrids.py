"""Compute double-hybrid energies with psi4 and write them to tests/data/double_hybrids.json.

Exact (not density-fitted) Kohn-Sham SCF on a dense grid, which psi4 does not prune, then DF-MP2
with the named auxiliary basis. Functionals that psi4 knows are taken from its own dictionary,
without their dispersion. Run it in an environment that has PySCF; psi4 runs as a separate program:

    python tests/data/generators/psi4_double_hybrids.py [--only TEXT] [--threads N]
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pyscf
from pyscf import df, gto
from reference_io import DATA, bohr_lines, gbs

TARGET = DATA / "double_hybrids.json"

MOLECULES = {
    "water": ("O 0 0 0.1173; H 0 0.7572 -0.4692; H 0 -0.7572 -0.4692", 0, 0, "cc-pvdz"),
    "NH2": ("N 0 0 0.1420; H 0 0.8060 -0.4971; H 0 -0.8060 -0.4971", 0, 1, "cc-pvdz"),
    "BH": ("B 0 0 0; H 0 0 1.2324", 0, 0, "6-31g"),
    "BH+": ("B 0 0 0; H 0 0 1.2059", 1, 1, "6-31g"),
}
"""Atoms in Å, charge, number of unpaired electrons, basis."""

AUXBASIS = "cc-pvdz-ri"

OF_PSI4 = {
    "B2PLYP": "b2plyp",
    "B2GP-PLYP": "b2gpplyp",
    "DSD-BLYP": "dsd-blyp",
    "DSD-BLYP-D3BJ": "dsd-blyp-d3bj",
    "DSD-PBEP86": "dsd-pbep86",
    "DSD-PBEP86-D3BJ": "dsd-pbep86-d3bj",
    "PBE0-DH": "pbe0-dh",
    "PBE0-2": "pbe0-2",
}
OWN = {
    "revDSD-PBEP86-D4": {
        "name": "revdsd",
        "x_functionals": {"GGA_X_PBE": {"alpha": 0.31}},
        "x_hf": {"alpha": 0.69},
        "c_functionals": {"GGA_C_P86": {"alpha": 0.4210}},
        "c_mp2": {"os": 0.5922, "ss": 0.0636},
    },
    # PT2 on B3LYP orbitals. The energy of XYG3 itself follows in a second step.
    "XYG3": {
        "name": "b3lyp-pt2",
        "x_functionals": {"LDA_X": {"alpha": 0.08}, "GGA_X_B88": {"alpha": 0.72}},
        "x_hf": {"alpha": 0.2},
        "c_functionals": {"LDA_C_VWN_RPA": {"alpha": 0.19}, "GGA_C_LYP": {"alpha": 0.81}},
        "c_mp2": {"alpha": 0.3211},
    },
}
XYG3 = {
    "name": "xyg3-ks",
    "x_functionals": {"LDA_X": {"alpha": -0.0140}, "GGA_X_B88": {"alpha": 0.2107}},
    "x_hf": {"alpha": 0.8033},
    "c_functionals": {"GGA_C_LYP": {"alpha": 0.6789}},
}

KEYWORDS: dict[str, Any] = {
    "scf_type": "pk",
    "mp2_type": "df",
    "guess": "sad",
    "e_convergence": 1e-10,
    "d_convergence": 1e-9,
    "ints_tolerance": 1e-14,
    "puream": True,
    "maxiter": 100,
    "dft_radial_points": 150,
    "dft_spherical_points": 974,
}

INPUT = """\
memory 3 gb
import json
from psi4.driver.procrouting.dft import dft_builder
molecule mol {{
{charge} {multiplicity}
{atoms}
units bohr
symmetry c1
no_reorient
no_com
}}
set reference {reference}
set basis orb
set df_basis_mp2 aux
{keywords}
asked = json.load(open('functional.json'))
functional = dict(dft_builder.functionals[asked] if isinstance(asked, str) else asked)
functional.pop('dispersion', None)
functional['name'] = 'asked'
energy('scf', dft_functional=functional)
result = {{
    'pt2': variable('DOUBLE-HYBRID CORRECTION ENERGY'),
    'e_os': variable('MP2 OPPOSITE-SPIN CORRELATION ENERGY'),
    'e_ss': variable('MP2 SAME-SPIN CORRELATION ENERGY'),
    'nuclear_repulsion': variable('NUCLEAR REPULSION ENERGY'),
    'version': psi4.__version__,
}}
result['e_ks'] = variable('DFT TOTAL ENERGY') - result['pt2']
if asked == {xyg3_orbitals!r}:
    set guess read
    set maxiter 0
    set fail_on_maxiter false
    energy('scf', dft_functional={xyg3!r})
    # Iteration 0 has the energy of the orbitals that were read.
    result['e_ks'] = variable('SCF ITERATION ENERGY')
with open('result.json', 'w') as handle:
    json.dump(result, handle)
"""


def psi4_value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def run(name: str, molecule: str, program: str, threads: int) -> dict[str, Any]:
    geometry, charge, spin, basis = MOLECULES[molecule]
    mol = gto.M(atom=geometry, charge=charge, spin=spin, basis=basis, verbose=0)
    aux = df.make_auxmol(mol, AUXBASIS)
    text = INPUT.format(
        charge=charge,
        multiplicity=spin + 1,
        reference="uks" if spin else "rks",
        atoms=bohr_lines(mol),
        keywords="\n".join(f"set {key} {psi4_value(value)}" for key, value in KEYWORDS.items()),
        xyg3_orbitals=OWN["XYG3"],
        xyg3=XYG3,
    )
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "orb.gbs").write_text(gbs(mol))
        (work / "aux.gbs").write_text(gbs(aux))
        (work / "functional.json").write_text(json.dumps(OF_PSI4.get(name) or OWN[name]))
        (work / "input.dat").write_text(text)
        done = subprocess.run(
            [program, "-n", str(threads), "input.dat", "output.dat"],
            cwd=work,
            env={**os.environ, "PSIPATH": folder, "PSI_SCRATCH": folder},
            capture_output=True,
            text=True,
            check=False,
        )
        output = work / "output.dat"
        if done.returncode or not (work / "result.json").exists():
            tail = output.read_text()[-3000:] if output.exists() else ""
            raise SystemExit(f"psi4 failed for {name}, {molecule}\n{tail}\n{done.stderr}")
        result: dict[str, Any] = json.loads((work / "result.json").read_text())
    if abs(result.pop("nuclear_repulsion") - mol.energy_nuc()) > 1e-9:
        raise SystemExit(f"{molecule}: psi4 and PySCF disagree on the nuclear repulsion")
    return {
        "functional": name,
        "geometry": geometry,
        "charge": charge,
        "spin": spin,
        "basis": basis,
        "auxbasis": AUXBASIS,
        "basis_data_from": f"PySCF {pyscf.__version__}",
        **{key: result[key] for key in ("e_ks", "pt2", "e_os", "e_ss")},
        "program": "psi4",
        "version": result["version"],
        "keywords": KEYWORDS,
        "date": datetime.date.today().isoformat(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--program", default="psi4")
    asked = parser.parse_args()
    rows = json.loads(TARGET.read_text()) if TARGET.exists() else {}
    for name in (*OF_PSI4, *OWN):
        for molecule in MOLECULES:
            key = f"{name}/{molecule}"
            if asked.only in key:
                rows[key] = run(name, molecule, asked.program, asked.threads)
                print(key, rows[key]["e_ks"], rows[key]["pt2"])
                TARGET.write_text(json.dumps(dict(sorted(rows.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
