"""The error of float32 arithmetic.

Orbitals, auxiliary basis and B come in. Two error estimates go out: one before the work, and one
after it, from a sample of pairs that is computed again in float64.
"""
