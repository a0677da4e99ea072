"""Three-centre integrals (mn|P).

A molecule and its auxiliary basis come in. Blocks of integrals go out, computed by libcint or by
gpu4pyscf, or read from a density-fitted SCF.
"""
