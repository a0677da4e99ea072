"""How other programs use dfmp2.

`pyscf` has the class `DFMP2` for PySCF scripts. `attributes` checks what is assigned to it,
`not_provided` lists what only PySCF's classes have, `with_df` reads a density-fitting object, and
`scanner` computes series of geometries. `validation` compares results with PySCF.
"""
