"""The backends: torch on a CPU or a CUDA GPU, NKI on a Neuron device or in a simulator.

Tensors come in. Products, solutions of linear systems and pair energies go out. `selection` chooses
a backend before the work starts. `recording` writes every operation to the provenance.
"""
