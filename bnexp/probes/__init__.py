"""What is recorded inside a network while it trains, one probe a file.

A probe is a function of a `Scene` (see `bnexp.probes.scene`) that yields `Row`s; of your own, one
given as `probes.record=[module:function]`. Layers are numbered from 1: the hidden ones, in order.
A probe sees the network as it is while training (Alg. 2's N_BN^tr: normalized by the statistics of
the batch it is shown), always on the same images; whatever it moves is put back after it.
"""

from typing import NamedTuple


class Row(NamedTuple):
    """A line of probes.csv less its step; `layer` is empty for what is of the whole network."""

    probe: str
    layer: str
    statistic: str
    value: float
