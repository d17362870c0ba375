"""Datasets as arrays: train, validation and test splits from config."""

from bnexp.data.arrays import DataError, Dataset, Split, fingerprint, split_dataset
from bnexp.data.sources import LOCAL, load

__all__ = ["LOCAL", "DataError", "Dataset", "Split", "fingerprint", "load", "split_dataset"]
