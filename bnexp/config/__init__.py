"""From `conf/` and the command line to one checked, typed config for each run, and its identity.

    types.py, signature.py   what a setting may be, read from the option's own signature
    checking.py              a value against it
    options.py, places.py    options with their settings, and where they lie
    source.py                what is known of a user's code without importing it
    schema.py                the typed config
    identity.py              which runs are the same
    compose.py               Hydra, from overrides to the typed config

This package imports neither TensorFlow nor an option's module.
"""

from bnexp.config.errors import ConfigError, nearest
from bnexp.config.identity import run_id, scientific
from bnexp.config.options import Option
from bnexp.config.schema import Config, build

__all__ = ["Config", "ConfigError", "Option", "build", "nearest", "run_id", "scientific"]
