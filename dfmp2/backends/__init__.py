"""Who does the arithmetic.

Host arrays come in and go out. In between they are tensors of torch (CPU, CUDA) or of NKI (device,
simulator). `selection` chooses a backend before the work starts. `recording` records every
operation.
"""
