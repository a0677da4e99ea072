"""The fitted tensor B[i,P,a].

Blocks of integrals and orbital coefficients come in. B goes out, held in memory or in the run file.
"""
