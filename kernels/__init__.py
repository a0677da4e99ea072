"""The operations of DF-MP2 as NKI kernels, and their plain definitions.

Installed as ``dfmp2.kernels``. Each operation exists three times: in `reference` (NumPy
float64, the definition), in the module of its name (the NKI kernel and its host side) and,
for every other machine, in `dfmp2.backends.torch`.
"""
