"""The dataset of a run, from its `data` option; a process reads it once."""

import json
from functools import lru_cache

from bnexp.config.identity import data_content
from bnexp.config.options import Option
from bnexp.data.arrays import Arrays, Dataset
from bnexp.data.forms import as_arrays
from bnexp.data.preparation import Preparation, prepare


def load(option: Option) -> Dataset:
    """The dataset, split and checked; the same object for the same settings and content.

    Raises:
        DataError: data that cannot be had or used.
    """
    return _dataset(_Key(option, data_content(option)))


class _Key:
    """An option that is equal to another with the same settings and content of its file."""

    def __init__(self, option: Option, content: str) -> None:
        self.option = option
        source = {"target": option.target, "source": option.source, "content": content}
        self._source = json.dumps(source | dict(option.settings), default=str)
        self._all = self._source + json.dumps(dict(option.common), default=str)

    def arrays(self) -> "_Key":
        """The key of what the source returns, whatever is then made of it."""
        key = _Key.__new__(_Key)
        key.option, key._source, key._all = self.option, self._source, self._source
        return key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other._all == self._all

    def __hash__(self) -> int:
        return hash(self._all)


@lru_cache(maxsize=2)
def _dataset(key: _Key) -> Dataset:
    option = key.option
    return prepare(_arrays(key.arrays()), Preparation(**option.common), _source(option))


@lru_cache(maxsize=1)  # splits of one dataset share it
def _arrays(key: _Key) -> Arrays:
    return as_arrays(key.option(), _source(key.option))


def _source(option: Option) -> str:
    path = f" data.path={option['path']}" if option.get("path") else ""
    return f"data={option.kind}{path}"
