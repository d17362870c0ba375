"""Datasets: where they come from, what is done to their images, and how they are split.

A source is a function in a file of its own that returns `Arrays`, or something that `as_arrays`
takes for them; `prepare` makes them the splits of a run; `augment` changes them while it trains.

    mnist.py fashion_mnist.py cifar10.py npz.py folder.py csv.py huggingface.py   the sources
    arrays.py                                    what a source returns, and what a run gets
    preparation.py                               the settings of all sources; from one to the other
    forms.py images.py labels.py scaling.py splitting.py   its steps
    files.py naming.py pictures.py downloads.py            shared by the sources
"""

from bnexp.data.arrays import Arrays, Dataset, Split, memory_of
from bnexp.data.errors import DataError
from bnexp.data.files import fingerprint
from bnexp.data.forms import as_arrays
from bnexp.data.preparation import Preparation, prepare

__all__ = [
    "Arrays",
    "DataError",
    "Dataset",
    "Preparation",
    "Split",
    "as_arrays",
    "fingerprint",
    "memory_of",
    "prepare",
]
