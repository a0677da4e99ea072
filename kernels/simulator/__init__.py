"""A strict CPU simulator of the part of NKI that the kernels use."""
