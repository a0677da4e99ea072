"""Three-centre integrals (mn|P).

A molecule and its auxiliary basis come in. Blocks of integrals go out. They are computed by libcint
or gpu4pyscf, or read from a density-fitted SCF.
"""
