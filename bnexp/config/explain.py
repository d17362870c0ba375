"""One line for what Hydra or OmegaConf found wrong with overrides."""

import re

from bnexp.config import options
from bnexp.config.errors import nearest
from bnexp.config.options import GROUPS
from bnexp.config.schema import unknown_key


def explain(error: BaseException) -> str:
    """What is wrong, where, and what would be right."""
    text = str(error)
    cause = str(error.__cause__ or "")
    if unknown := re.search(r"Could not override '([^']+)'", text):
        return _unknown(unknown[1])
    if missing := re.search(r"Could not find '(?:config/)?([\w/]+)/([^']+)'", text):
        known = re.findall(r"^\t(\S+)$", text, re.MULTILINE)
        hint = nearest(missing[2], known)
        return f"unknown option {missing[1]}={missing[2]}{hint} (there are: {', '.join(known)})"
    if ambiguous := re.search(r"Ambiguous value for argument '([^']+)'", text):
        return f"{ambiguous[1]} has several values; add --multirun to sweep over them"
    if mistyped := re.search(r"Error merging override (\S*)", text):
        return f"{mistyped[1]}: {cause.splitlines()[0] if cause else 'cannot be set so'}"
    if unparsed := re.search(r"Error (?:when )?parsing override '(.*)'", text):
        return f"{unparsed[1]}: not a valid override; write key=value"
    return "; ".join(line.strip() for line in f"{text}\n{cause}".splitlines() if line.strip())


def _unknown(key: str) -> str:
    """The hint for a key: by all keys that the options of its group have."""
    group = key.partition(".")[0]
    tree = {name: dict.fromkeys(options.keys_of(name)) for name in GROUPS}
    if group in ("hydra",):
        return f"unknown key '{key}'"
    return str(unknown_key(key, tree))
