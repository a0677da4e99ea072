"""The result of a calculation.

Pair energies and labels come in. A `Result` goes out: energies, sizes, and the provenance, which
names the device of every operation. It can be written to QCSchema JSON and read from it.
"""
