"""An active space for CASSCF from MP2 natural orbitals: stretched N2.

python examples/natural_orbitals.py
"""

from pyscf import gto, mcscf, scf

from dfmp2 import DFMP2
from dfmp2.interfaces.orbital_files import write_molden

mol = gto.M(atom="N 0 0 0; N 0 0 1.3", basis="cc-pvdz", symmetry="D2h", verbose=0)
mf = scf.RHF(mol).run(conv_tol=1e-10)

orbitals = DFMP2(mf, frozen="auto").natural_orbitals()
active = [i for i, n in enumerate(orbitals.occupations) if 0.04 < n < 1.96]
for i in active:
    print(f"orbital {i}: occupation {orbitals.occupations[i]:.4f}, irrep {orbitals.irreps[i]}")
electrons = round(sum(orbitals.occupations[active]))

cas = mcscf.CASSCF(mf, len(active), electrons)
cas.kernel(orbitals.coefficients)  # these orbitals follow one another, so no sorting is needed
print(f"CASSCF({electrons},{len(active)}) {cas.e_tot:.6f} Eh, RHF {mf.e_tot:.6f} Eh")
assert cas.converged
write_molden(orbitals, "n2.molden")
