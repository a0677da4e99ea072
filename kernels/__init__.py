"""The operations of DF-MP2 as NKI kernels, and their definitions.

Installed as ``dfmp2.kernels``. Each operation has three implementations: the definition in
`reference` (NumPy float64), the NKI kernel with its host side in the module of its name, and the
one for CPUs and GPUs in `dfmp2.backends.torch`.
"""
