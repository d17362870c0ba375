"""Optimizers: one a file, on TensorFlow's fused update kernels; any Keras optimizer serves too.

An optimizer says how many slots of state a variable has (`slots`), what they start with (`start`),
and how one variable is updated (`update`). The learning rate is given with every step, so that
one compiled program serves runs of all rates and schedules. One that treats the parts of a network
apart has `updater(model)` instead (fixed_norm.py). Common settings of the group that it does not
have stand in `without`.
"""
