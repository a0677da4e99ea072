"""Compute conventional (four-index, not density-fitted) MP2 energies with NWChem.

They give the error of density fitting. NWChem shares no integral code with psi4 or PySCF. The rows
go to the section `mp2_conventional` of references.json:

    python tests/data/generators/nwchem_references.py [--only TEXT]
"""

from __future__ import annotations

import argparse
import datetime
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pyscf
from reference_io import System, bohr_lines, nwchem_basis, sha256, store

SYSTEMS = [
    System(name, "cc-pvdz", "", label="conventional") for name in ("water", "ammonia", "methane")
]

INPUT = """\
start reference
memory total 2000 mb
charge {charge}
geometry units bohr noautoz nocenter noautosym
{atoms}
end
{basis}
scf
  rhf
  singlet
  thresh 1e-10
  tol2e 1e-14
end
mp2
  freeze {frozen}
  tight
end
task mp2
"""

NUMBER = r"\s+(-?\d+\.\d+)"


def last(pattern: str, text: str) -> float:
    found = re.findall(pattern + NUMBER, text)
    if not found:
        raise SystemExit(f"NWChem's output holds no line like {pattern!r}")
    return float(found[-1])


def run(system: System, program: str) -> dict[str, Any]:
    mol = system.build()
    text = INPUT.format(
        charge=mol.charge,
        atoms=bohr_lines(mol),
        basis=nwchem_basis(mol),
        frozen=system.frozen,
    )
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "reference.nw").write_text(text)
        done = subprocess.run(
            [program, "reference.nw"], cwd=folder, capture_output=True, text=True, check=False
        )
    output = done.stdout
    if done.returncode:
        raise SystemExit(f"NWChem failed for {system.key}\n{output[-3000:]}\n{done.stderr}")
    repulsion = last(r"Effective nuclear repulsion energy \(a\.u\.\)", output)
    if abs(repulsion - mol.energy_nuc()) > 1e-8:
        raise SystemExit(f"{system.key}: NWChem and PySCF disagree on the nuclear repulsion")
    version = re.search(r"\(NWChem\)\s+(\S+)", output)
    return {
        "file": system.xyz.relative_to(system.xyz.parents[1]).as_posix(),
        "file_sha256": sha256(system.xyz),
        "charge": mol.charge,
        "spin": mol.spin,
        "basis": system.basis,
        "basis_data_from": f"PySCF {pyscf.__version__}",
        "frozen": system.frozen,
        "n_basis": mol.nao,
        "nuclear_repulsion": repulsion,
        "e_hf": last(r"SCF energy", output),
        "e_corr": last(r"Correlation energy", output),
        "e_corr_os": last(r"Opposite spin pairs", output),
        "e_corr_ss": last(r"Same spin pairs", output),
        "program": "NWChem",
        "version": version.group(1) if version else "unknown",
        "keywords": {"scf": "rhf; thresh 1e-10; tol2e 1e-14", "mp2": "tight"},
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Compute MP2 reference energies with NWChem.")
    parser.add_argument("--only", default="", help="run the rows whose key contains this text")
    parser.add_argument("--nwchem", default="nwchem", help="the NWChem program")
    arguments = parser.parse_args()
    program = shutil.which(arguments.nwchem)
    if program is None:
        raise SystemExit(f"no program named {arguments.nwchem}")
    for system in SYSTEMS:
        if arguments.only in system.key:
            row = run(system, program)
            store("mp2_conventional", system.key, row)
            print(f"{system.key:55s} {row['e_hf']:20.12f} {row['e_corr']:18.12f}", flush=True)


if __name__ == "__main__":
    main()
