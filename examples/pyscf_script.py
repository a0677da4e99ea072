"""DF-MP2 in a PySCF script: interaction energy of a water dimer, counterpoise-corrected.

python examples/pyscf_script.py
"""

from pyscf import gto, scf

from dfmp2 import DFMP2

KCAL_PER_HARTREE = 627.509474

DONOR = "O -1.551007 -0.114520 0.0; H -1.934259 0.762503 0.0; H -0.599677 0.040712 0.0"
ACCEPTOR = "O 1.350625 0.111469 0.0; H 1.680398 -0.373741 -0.758561; H 1.680398 -0.373741 0.758561"


def ghosts(atoms: str) -> str:
    """Ghost atoms: the basis functions of these atoms without their nuclei and electrons."""
    return "; ".join("Ghost-" + atom.strip() for atom in atoms.split(";"))


def mp2_energy(atoms: str) -> float:
    """Total RI-MP2 energy in hartree with the oxygen 1s orbitals frozen."""
    mf = scf.RHF(gto.M(atom=atoms, basis="aug-cc-pvdz", verbose=0)).run(conv_tol=1e-10)
    mp2 = DFMP2(mf, frozen="auto").run()
    print(f"{mp2.e_tot:16.10f} Eh on {mp2.result.provenance.device_line()}")
    return float(mp2.e_tot)


dimer = mp2_energy(f"{DONOR}; {ACCEPTOR}")
donor = mp2_energy(f"{DONOR}; {ghosts(ACCEPTOR)}")
acceptor = mp2_energy(f"{ghosts(DONOR)}; {ACCEPTOR}")
print(f"interaction energy {(dimer - donor - acceptor) * KCAL_PER_HARTREE:.3f} kcal/mol")
