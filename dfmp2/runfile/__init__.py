"""The run file: one HDF5 file with the work of one run, from which the run can be continued.

Orbitals, B and pair energies come in. The file goes out, and what it contains. README.md in this
folder describes its use and its format, and why it survives a kill at any instant.
"""
