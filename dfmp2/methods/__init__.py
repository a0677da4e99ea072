"""The equations.

B and orbital energies come in. Pair energies go out.
"""
