"""The one error of reading and preparing data."""

from bnexp.config.errors import ConfigError


class DataError(ConfigError):
    """Data that cannot be had or used; the message names the file or array and the remedy."""
