"""How other programs use dfmp2.

`pyscf` has the class `DFMP2` for PySCF scripts, `densities` its methods for densities and natural
orbitals, which `orbital_files` writes, and `gradient` its gradients. `ase` has a calculator.
`attributes` checks what is assigned to the class, `not_provided` lists what only PySCF's classes
have, `with_df` reads a density-fitting object, and `scanner` computes series of geometries.
`validation` compares results with PySCF.
"""
