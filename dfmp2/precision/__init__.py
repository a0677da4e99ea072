"""The error of float32.

Orbitals, auxiliary basis and B come in. An estimate before the work and a float64 check of a sample
after it go out.
"""
