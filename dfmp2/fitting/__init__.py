"""Density fitting: the auxiliary basis and the metric (P|Q).

A molecule with its orbital basis comes in. The auxiliary basis with the reason for its choice, the
factor of the metric, and the orthonormal form of the auxiliary functions for float32 go out.
"""
