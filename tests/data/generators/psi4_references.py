"""Compute DF-MP2 reference energies with psi4 and write them to tests/data/references.json.

Exact (not density-fitted) RHF, then DF-MP2 with the named auxiliary basis. Run it in an
environment that has PySCF; psi4 runs as a separate program and may have its own Python:

    python tests/data/generators/psi4_references.py [--only TEXT] [--threads N]

Rows that are computed again replace the stored ones. All other rows are kept.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pyscf
from reference_io import System, bohr_lines, gbs, sha256, store

ECP = {"I": "def2-svp"}
SYSTEMS = [
    *(
        System(name, "cc-pvdz", "cc-pvdz-ri")
        for name in (
            "water",
            "ammonia",
            "methane",
            "ethylene",
            "benzene",
            "glycine",
            "uracil_dimer_stacked",
            "caffeine",
            "water10",
        )
    ),
    System("benzene", "cc-pvdz", "cc-pvdz-ri", frozen=6),
    System("glycine", "cc-pvdz", "cc-pvdz-ri", frozen=5),
    *(System(name, "aug-cc-pvtz", "aug-cc-pvtz-ri") for name in ("water", "ammonia", "methane")),
    System("water", "cc-pvqz", "cc-pvqz-ri"),
    *(
        System("hydrogen_iodide", "def2-svp", "def2-svp-ri", frozen, ECP, {"I": file}, label)
        for frozen, file, label in (
            (0, "iodine_def2-svp-ri.nw", ""),
            (4, "iodine_def2-svp-ri.nw", ""),
            (0, "iodine_even_tempered.nw", "even-tempered"),
        )
    ),
]

KEYWORDS: dict[str, Any] = {
    "reference": "rhf",
    "scf_type": "pk",
    "mp2_type": "df",
    "guess": "sad",
    "e_convergence": 1e-11,
    "d_convergence": 1e-10,
    "ints_tolerance": 1e-14,
    "puream": True,
    "maxiter": 100,
}

INPUT = """\
memory {memory} gb
molecule mol {{
{charge} {multiplicity}
{atoms}
units bohr
symmetry c1
no_reorient
no_com
}}
set basis orb
set df_basis_mp2 aux
set num_frozen_docc {frozen}
{keywords}
energy, wfn = energy('mp2', return_wfn=True)
import json
names = {{
    'e_hf': 'SCF TOTAL ENERGY',
    'e_corr': 'MP2 CORRELATION ENERGY',
    'e_corr_os': 'MP2 OPPOSITE-SPIN CORRELATION ENERGY',
    'e_corr_ss': 'MP2 SAME-SPIN CORRELATION ENERGY',
    'nuclear_repulsion': 'NUCLEAR REPULSION ENERGY',
}}
result = {{key: variable(name) for key, name in names.items()}}
result['n_basis'] = wfn.basisset().nbf()
result['n_mo'] = wfn.nmo()
result['n_occupied'] = wfn.nalpha()
result['n_frozen'] = wfn.nfrzc()
result['version'] = psi4.__version__
with open('result.json', 'w') as handle:
    json.dump(result, handle)
"""


def psi4_value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def run(system: System, program: str, threads: int, memory: int) -> dict[str, Any]:
    mol = system.build()
    aux = system.build_aux(mol)
    keywords = dict(KEYWORDS)
    if mol.nao > 150:
        keywords["scf_type"] = "direct"
    text = INPUT.format(
        memory=memory,
        charge=mol.charge,
        multiplicity=mol.spin + 1,
        atoms=bohr_lines(mol),
        frozen=system.frozen,
        keywords="\n".join(f"set {key} {psi4_value(value)}" for key, value in keywords.items()),
    )
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "orb.gbs").write_text(gbs(mol))
        (work / "aux.gbs").write_text(gbs(aux))
        (work / "input.dat").write_text(text)
        environment = {**os.environ, "PSIPATH": folder, "PSI_SCRATCH": folder}
        done = subprocess.run(
            [program, "-n", str(threads), "input.dat", "output.dat"],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        output = work / "output.dat"
        if done.returncode or not (work / "result.json").exists():
            tail = output.read_text()[-3000:] if output.exists() else ""
            raise SystemExit(f"psi4 failed for {system.key}\n{tail}\n{done.stderr}")
        result = json.loads((work / "result.json").read_text())

    for name, ours in (("n_basis", mol.nao), ("n_mo", mol.nao), ("n_frozen", system.frozen)):
        if result.pop(name) != ours:
            raise SystemExit(f"{system.key}: psi4 and PySCF disagree on {name}")
    if result.pop("n_occupied") != mol.nelectron // 2:
        raise SystemExit(f"{system.key}: psi4 and PySCF disagree on the number of electrons")
    if abs(result["nuclear_repulsion"] - mol.energy_nuc()) > 1e-9:
        raise SystemExit(f"{system.key}: psi4 and PySCF disagree on the nuclear repulsion")
    version = result.pop("version")
    return {
        "file": system.xyz.relative_to(system.xyz.parents[1]).as_posix(),
        "file_sha256": sha256(system.xyz),
        "charge": mol.charge,
        "spin": mol.spin,
        "basis": system.basis,
        "ecp": system.ecp,
        "auxbasis": system.auxbasis,
        "auxbasis_files": system.auxbasis_files,
        "basis_data_from": f"PySCF {pyscf.__version__}",
        "frozen": system.frozen,
        "n_basis": mol.nao,
        "n_aux": aux.nao,
        **result,
        "program": "psi4",
        "version": version,
        "keywords": keywords,
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Compute DF-MP2 reference energies with psi4.")
    parser.add_argument("--only", default="", help="run the rows whose key contains this text")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory", type=int, default=4, help="GB")
    parser.add_argument("--psi4", default="psi4", help="the psi4 program")
    arguments = parser.parse_args()
    program = shutil.which(arguments.psi4)
    if program is None:
        raise SystemExit(f"no program named {arguments.psi4}")
    for system in SYSTEMS:
        if arguments.only in system.key:
            row = run(system, program, arguments.threads, arguments.memory)
            store("df_mp2", system.key, row)
            print(f"{system.key:55s} {row['e_hf']:20.12f} {row['e_corr']:18.12f}", flush=True)


if __name__ == "__main__":
    main()
