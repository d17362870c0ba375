"""What is known of a user's code from its source, without importing it."""

import ast
import hashlib
import sys
from functools import lru_cache
from pathlib import Path

from bnexp.config.errors import ConfigError
from bnexp.config.signature import INSTALLED, find_module, split_target

# Told by result.json's versions, not by a hash of their source.
LIBRARIES = ("bnexp", "keras", "tensorflow", "tf_keras")


def source_hash(*targets: str) -> str:
    """SHA-256 of the user's files behind targets, with the files of theirs that those import.

    Empty where all is of this package, Keras or TensorFlow.
    """
    files: dict[Path, str] = {}
    for target in targets:
        module = split_target(target)[0]
        if module.partition(".")[0] not in LIBRARIES and (path := find_module(module)):
            _collect(path, files)
    if not files:
        return ""
    return hashlib.sha256("".join(sorted(files.values())).encode()).hexdigest()


def _collect(path: Path, files: dict[Path, str]) -> None:
    """The file's hash, and those of the modules beside it that it imports."""
    if path in files:
        return
    content, imported = _hashed(path, path.stat().st_mtime_ns)
    files[path] = content
    for name in imported:
        beside = path.parent / f"{name}.py"
        found = beside if beside.is_file() else _own_module(name)
        if found is not None:
            _collect(found, files)


def _own_module(name: str) -> Path | None:
    """The file of a module that is neither installed nor of the standard library."""
    first = name.partition(".")[0]
    if first in LIBRARIES or first in sys.stdlib_module_names:
        return None
    path = find_module(name)
    return None if path is None or INSTALLED.search(str(path.parent)) else path


@lru_cache(maxsize=256)
def _hashed(path: Path, _mtime: int) -> tuple[str, tuple[str, ...]]:
    text = path.read_bytes()
    imported: set[str] = set()
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = {alias.name for alias in node.names}
            imported |= {module, *names} | {f"{module}.{name}" for name in names if module}
        elif isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
    return hashlib.sha256(text).hexdigest(), tuple(sorted(imported))


def needs_tensorflow(target: str) -> bool:
    """Whether the file behind a target imports Keras or TensorFlow, at its top or within."""
    path = find_module(split_target(target)[0])
    if path is None:
        return True
    _, imported = _hashed(path, path.stat().st_mtime_ns)
    return any(name.partition(".")[0] in ("keras", "tensorflow") for name in imported)
