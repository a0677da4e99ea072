"""The reference determinant of MP2.

A molecule, a chkfile or a mean-field object of PySCF comes in. It is converged or checked here. Its
orbitals and energies go out, split into frozen and correlated ones (`Reference`). Only this folder,
`integrals.scf_cderi` and `interfaces` work with mean-field objects.
"""
