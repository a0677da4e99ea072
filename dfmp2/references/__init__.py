"""The reference determinant of MP2.

A molecule, a chkfile or a mean-field object of PySCF comes in. It is converged or checked here. An
`ScfSolution` in plain arrays goes out, and a `Reference` with frozen and correlated orbitals. Only
this folder, `interfaces` and the peers of `bench` work with mean-field objects of PySCF.
"""
