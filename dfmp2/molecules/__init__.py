"""From geometry files and basis names to a PySCF molecule.

Geometry files, charge, spin, basis sets and ECPs come in. A `pyscf.gto.Mole` and its description in
plain data (`plain.PlainMolecule`) go out.
"""
