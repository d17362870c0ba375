"""One line for what Hydra or OmegaConf found wrong with overrides."""

import re

from bnexp.config import options
from bnexp.config.errors import ConfigError, nearest
from bnexp.config.options import GROUPS
from bnexp.config.schema import install_hint, unknown_key

# What Hydra names where a plugin is missing, what asks for it, and the extra that brings it.
EXTRAS = (
    ("hydra_plugins.hydra_ray_launcher", "hydra/launcher=ray", "ray"),
    ("hydra_plugins.hydra_submitit_launcher", "hydra/launcher=submitit_slurm", "slurm"),
    ("hydra/sweeper/optuna", "hydra/sweeper=search", "optuna"),
)


def explain(error: BaseException) -> str:
    """What is wrong, where, and what would be right."""
    if isinstance(error.__cause__, ConfigError):  # of a sweeper that Hydra made
        return str(error.__cause__)
    text = str(error)
    cause = str(error.__cause__ or "")
    if unknown := re.search(r"Could not override '([^']+)'", text):
        return _unknown(unknown[1])
    for plugin, word, extra in EXTRAS:
        if plugin in text:
            return f"{word} needs a package: pip install {install_hint(extra)}"
    if missing := re.search(r"Could not find '(?:config/)?([\w/]+)/([^']+)'", text):
        known = re.findall(r"^\t(\S+)$", text, re.MULTILINE)
        hint = nearest(missing[2], known)
        return f"unknown option {missing[1]}={missing[2]}{hint} (there are: {', '.join(known)})"
    if ambiguous := re.search(r"Ambiguous value for argument '([^']+)'", text):
        return f"{ambiguous[1]} has several values; add --multirun to sweep over them"
    if mistyped := re.search(r"Error merging override (\S*)", text):
        return f"{mistyped[1]}: {cause.splitlines()[0] if cause else 'cannot be set so'}"
    lines = [line.strip() for line in f"{text}\n{cause}".splitlines()]
    return "; ".join(dict.fromkeys(line for line in lines if line))


def unparsed(text: str, error: BaseException) -> str:
    """What is said of a word that is no override."""
    key, equals, value = text.partition("=")
    if not equals:
        return f"{text!r}: not a valid override; write key=value"
    if evaluated := re.search(r"while evaluating .*?: (.*)", str(error)):
        null = "; give null without a function: null,1" if "NoneType" in evaluated[1] else ""
        return f"{text}: {evaluated[1]}{null}"
    return f"""{text}: {value} cannot be read; a text goes in quotes: '{key}="..."'"""


def _unknown(key: str) -> str:
    """The hint for a key: by all keys that the options of its group have."""
    group = key.partition(".")[0]
    tree = {name: dict.fromkeys(options.keys_of(name)) for name in GROUPS}
    if group == "hydra":
        return f"unknown key '{key}'"
    if group == "trial":
        from bnexp.sweeps.trial_settings import unknown_setting

        return str(unknown_setting(key.partition(".")[2]))
    return str(unknown_key(key, tree))
