"""DF-MP2 of a radical, NH2, with UHF and ROHF references, and its energy by variants of MP2.

python examples/open_shell.py
"""

from pyscf import gto, scf

from dfmp2 import DFMP2

NH2 = "N 0 0 0.1418; H 0 0.8067 -0.4964; H 0 -0.8067 -0.4964"
mol = gto.M(atom=NH2, basis="6-31g", spin=1, verbose=0)  # one unpaired electron

for method in (scf.UHF, scf.ROHF):
    mf = method(mol).run(conv_tol=1e-10)
    # The nitrogen 1s orbital is frozen in both spins. A pair of lists names those of each spin.
    mp2 = DFMP2(mf, frozen=([0], [0])).set(kappa=1.45).run()
    print(f"{mp2.result.reference}: <S^2> {mp2.spin_square:.4f}, MP2 total {mp2.e_tot:.10f} Eh")
    # Singles are zero with UHF. With ROHF they are a part of the correlation energy.
    parts = mp2.e_corr_os, mp2.e_corr_ss, mp2.e_corr_singles
    print("  opposite spin {:.10f}, same spin {:.10f}, singles {:.10f}".format(*parts))
    for name, energy in mp2.energies.items():
        print(f"  {name:16s} {energy['correlation']:14.10f} {energy['total']:15.10f}")
    pairs = mp2.pair_energies
    print("  pairs", {spins: values.shape for spins, values in pairs.items()})
    assert abs(sum(values.sum() for values in pairs.values()) + parts[2] - mp2.e_corr) < 1e-10
