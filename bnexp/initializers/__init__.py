"""Distributions of initial weights, one a file: `draw(shape, seed)` gives a kernel.

A class takes its settings and has `draw(shape: tuple[int, ...], seed: int)`, which returns weights
of that shape: (inputs, units) for a dense layer, (height, width, inputs, filters) for a
convolution.
"""
