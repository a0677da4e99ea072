"""How other programs use dfmp2.

`pyscf` has the class `DFMP2` for PySCF scripts, `validation` compares results with PySCF.
"""
