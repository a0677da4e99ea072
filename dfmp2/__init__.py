"""Density-fitted MP2 for PySCF users."""
