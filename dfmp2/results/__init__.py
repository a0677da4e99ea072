"""What a calculation returns.

Pair energies and labels come in. A `Result` goes out: energies, sizes, and the provenance that
names the device of every operation. It is written as and read from QCSchema JSON.
"""
