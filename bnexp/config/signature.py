"""What an option's function or class says of its settings, read from source without importing it.

An option may stand in a module that imports TensorFlow; its settings must be known, checked and
shown in `--help` in a fraction of the seconds that this import takes.
"""

import ast
import builtins
import importlib
import importlib.machinery
import inspect
import re
import sys
import typing
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from bnexp.config import types
from bnexp.config.errors import ConfigError

INSTALLED = re.compile(r"\.zip$|lib-dynload$|site-packages|dist-packages|/python3[^/]*$")
REQUIRED = inspect.Parameter.empty
# A default that only the running module knows: the setting is left to it unless it is given.
COMPUTED = type("Computed", (), {"__repr__": lambda _: "as the code computes it"})()
_NAMES: dict[str, Any] = {
    **vars(builtins),
    **{name: getattr(typing, name) for name in ("Annotated", "Any", "Literal", "Optional")},
    **{name: value for name, value in vars(types).items() if not name.startswith("_")},
    "In": types.In,
    "typing": typing,
}


@dataclass(frozen=True)
class Parameter:
    """A setting: its type with its range, its default (`REQUIRED`: none), and what it means."""

    annotation: Any = Any
    default: Any = REQUIRED
    doc: str = ""


@dataclass(frozen=True)
class Signature:
    """What is known of the function or class that `_target_` names.

    Attributes:
        file: where it is written; None: not in a Python file.
        doc: its docstring's text before "Args:".
        settings: positional parameters, by name.
        provided: keyword-only ones, which the program gives.
        gives_none: whether it is annotated to return None.
        attributes: literals set on it: `version`, raised when the option's numbers change for the
            same settings, and hints to the program.
    """

    file: Path | None
    doc: str = ""
    settings: dict[str, Parameter] = field(default_factory=dict)
    provided: frozenset[str] = frozenset()
    gives_none: bool = False
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def version(self) -> int:
        """Raised when the option's numbers change for the same settings."""
        return int(self.attributes.get("version", 1))


def read(target: str) -> Signature:
    """The signature of `package.module.object` or `module:object`.

    Raises:
        ConfigError: there is no such module or object.
    """
    module, name = split_target(target)
    path = find_module(module)
    if path is None:
        raise ConfigError(f"{target}: there is no module '{module}' ({_looked()})")
    return _read(path, path.stat().st_mtime_ns, module, name)


def _looked() -> str:
    folders = [folder or "." for folder in sys.path if not folder.endswith((".zip", "lib-dynload"))]
    own = [
        folder for folder in folders if "site-packages" not in folder and "/python3" not in folder
    ]
    return f"looked in {', '.join(own)} and the installed packages" if own else "not installed"


def split_target(target: str) -> tuple[str, str]:
    """ "my.module:Thing" or "my.module.Thing" as module and object."""
    module, colon, name = target.rpartition(":") if ":" in target else target.rpartition(".")
    if not (colon and module and name):
        raise ConfigError(f"{target}: name an object of a module, as in my_module:my_function")
    return module, name


def find_module(name: str) -> Path | None:
    """The file of a module, which is not imported; nor are the packages that hold it.

    One of this package stays where it is; the user's may come and go while a notebook is open.
    """
    return _shipped(name) if name.startswith("bnexp.") else _found(name)


@lru_cache(maxsize=256)
def _shipped(name: str) -> Path | None:
    return _found(name)


def _found(name: str) -> Path | None:
    path: Any = None
    spec = None
    for depth, _ in enumerate(parts := name.split("."), start=1):
        wanted = ".".join(parts[:depth])
        found = (finder.find_spec(wanted, path) for finder in _finders())
        spec = next((spec for spec in found if spec is not None), None)
        if spec is None:
            return None
        path = spec.submodule_search_locations
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def _finders() -> list[Any]:
    return [finder for finder in sys.meta_path if hasattr(finder, "find_spec")]


@lru_cache(maxsize=256)
def _read(path: Path, _mtime: int, module: str, name: str) -> Signature:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    return _Module(path, module, tree).signature(name)


class _Module:
    """The definitions in one parsed file."""

    def __init__(self, path: Path, name: str, tree: ast.Module) -> None:
        self._path, self._name, self._tree = path, name, tree
        self._is_package = path.name == "__init__.py"

    def signature(self, name: str) -> Signature:
        node = self._definition(name)
        if isinstance(node, ast.FunctionDef):
            return self._of(node, node.args, node, gives_none=_is_none(node.returns))
        if isinstance(node, ast.ClassDef):
            return self._of_class(node)
        if elsewhere := self._imported(name):
            return read(elsewhere)
        return self._by_import(name)

    def _definition(self, name: str) -> ast.stmt | None:
        kinds = (ast.FunctionDef, ast.ClassDef)
        return next((n for n in self._tree.body if isinstance(n, kinds) and n.name == name), None)

    def _imported(self, name: str) -> str | None:
        """What a name stands for that another module defines, as `module:object`."""
        first, _, rest = name.partition(".")
        for node in self._tree.body:
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if (alias.asname or alias.name) == first and not rest:
                        return f"{self._absolute(node)}:{alias.name}"
            elif isinstance(node, ast.Import) and rest:
                for alias in node.names:
                    if (alias.asname or alias.name.partition(".")[0]) == first:
                        module, _, last = rest.rpartition(".")
                        base = alias.name if alias.asname else first
                        return f"{'.'.join(filter(None, [base, module]))}:{last}"
        return None

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self._name.split(".")
        up = node.level - (1 if self._is_package else 0)
        return ".".join([*parts[: len(parts) - up], *filter(None, [node.module])])

    def _of_class(self, node: ast.ClassDef) -> Signature:
        starts = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
        if starts:
            return self._of(node, starts[0].args, starts[0], skip=1)
        if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
            return self._of_dataclass(node)
        for base in map(ast.unparse, node.bases):
            try:
                found = self.signature(base)
            except ConfigError:
                continue
            attributes = found.attributes | self._attributes(node)
            text = _text(node) or found.doc
            return Signature(
                self._path, text, found.settings, found.provided, attributes=attributes
            )
        return Signature(self._path, _text(node), attributes=self._attributes(node))

    def _of_dataclass(self, node: ast.ClassDef) -> Signature:
        docs = _argument_docs(node)
        settings: dict[str, Parameter] = {}
        for base in map(ast.unparse, node.bases):
            settings |= self.signature(base).settings
        for item in node.body:
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                name = item.target.id
                if "ClassVar" in ast.unparse(item.annotation):
                    continue
                settings[name] = self._parameter(item.annotation, item.value, docs.get(name, ""))
        return Signature(self._path, _text(node), settings, attributes=self._attributes(node))

    def _of(
        self,
        node: ast.ClassDef | ast.FunctionDef,
        arguments: ast.arguments,
        function: ast.FunctionDef,
        *,
        skip: int = 0,
        gives_none: bool = False,
    ) -> Signature:
        docs = _argument_docs(function) | _argument_docs(node)
        positional = [*arguments.posonlyargs, *arguments.args]
        missing: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
        defaults = [*missing, *arguments.defaults]
        settings = {
            argument.arg: self._parameter(argument.annotation, default, docs.get(argument.arg, ""))
            for argument, default in list(zip(positional, defaults, strict=True))[skip:]
        }
        provided = frozenset(argument.arg for argument in arguments.kwonlyargs)
        attributes = self._attributes(node)
        return Signature(self._path, _text(node), settings, provided, gives_none, attributes)

    def _parameter(
        self, annotation: ast.expr | None, default: ast.expr | None, doc: str
    ) -> Parameter:
        kind = Any if annotation is None else self._annotation(annotation)
        value = REQUIRED if default is None else self._literal(default)
        return Parameter(kind, value, doc)

    def _annotation(self, node: ast.expr) -> Any:
        """The type; `Any` where it is made of names that are not known here."""
        aliases = {
            item.targets[0].id: item.value
            for item in self._tree.body
            if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name)
        }
        return _evaluated(node, aliases)

    def _literal(self, node: ast.expr) -> Any:
        if factory := re.fullmatch(r"field\(default_factory=(list|dict)\)", ast.unparse(node)):
            return [] if factory[1] == "list" else {}
        try:
            value = eval(ast.unparse(node), {"__builtins__": {}})  # 2**7, but no names
        except Exception:  # noqa: BLE001 (whatever an expression of the user's raises)
            value = self._constant(node)
        return list(value) if isinstance(value, tuple) else value

    def _constant(self, node: ast.expr) -> Any:
        """The value of a name that the module sets to a literal; `COMPUTED` for anything else."""
        name = ast.unparse(node)
        for item in self._tree.body:
            if isinstance(item, ast.Assign) and ast.unparse(item.targets[0]) == name:
                return self._literal(item.value)
        return COMPUTED

    def _attributes(self, node: ast.ClassDef | ast.FunctionDef) -> dict[str, Any]:
        """`thing.version = 2` in the module, or `version = 2` in the class."""
        inside = node.body if isinstance(node, ast.ClassDef) else []
        found: dict[str, Any] = {}
        for prefix, body in ((f"{node.name}.", self._tree.body), ("", inside)):
            for item in body:
                if isinstance(item, (ast.Assign, ast.AnnAssign)) and item.value is not None:
                    target = item.targets[0] if isinstance(item, ast.Assign) else item.target
                    name = ast.unparse(target)
                    if name.startswith(prefix) and name.removeprefix(prefix).isidentifier():
                        found[name.removeprefix(prefix)] = self._literal(item.value)
        return found

    def _by_import(self, name: str) -> Signature:
        """For what is made while the module runs (decorated, assigned), it must be imported."""
        module = importlib.import_module(self._name)
        found = getattr(module, name, None)
        if found is None:
            raise ConfigError(f"{self._name}:{name}: {self._path} has no '{name}'")
        if not callable(found):
            raise ConfigError(f"{self._name}:{name}: not a function or class")
        parameters = inspect.signature(found).parameters.values()
        settings = {
            p.name: Parameter(Any, p.default)
            for p in parameters
            if p.kind == p.POSITIONAL_OR_KEYWORD
        }
        provided = frozenset(p.name for p in parameters if p.kind == p.KEYWORD_ONLY)
        return Signature(self._path, inspect.getdoc(found) or "", settings, provided)


def _evaluated(node: ast.expr, aliases: dict[str, ast.expr]) -> Any:
    """A type expression made of known names and of a module's aliases of such."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _evaluated(ast.parse(node.value, mode="eval").body, aliases)
    try:
        return eval(ast.unparse(node), dict(_NAMES))
    except NameError as error:
        alias = aliases.get(error.name or "")
        if alias is None:
            return Any
        known = {name: value for name, value in aliases.items() if name != error.name}
        text = re.sub(rf"\b{error.name}\b", f"({ast.unparse(alias)})", ast.unparse(node))
        return _evaluated(ast.parse(text, mode="eval").body, known)
    except ValueError as error:  # of In
        raise ConfigError(str(error)) from error
    except (AttributeError, TypeError, SyntaxError):
        return Any


def _is_none(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


_SECTION = re.compile(r"^(Args|Arguments|Attributes):\s*$", re.MULTILINE)
_HEADING = re.compile(r"^[A-Z][\w ]+:\s*$", re.MULTILINE)
_ENTRY = re.compile(r"^    (\*{0,2}\w+(?:, \w+)*)(?: \([^)]*\))?: ", re.MULTILINE)


def _text(node: ast.ClassDef | ast.FunctionDef) -> str:
    """A docstring up to its first section."""
    doc = ast.get_docstring(node) or ""
    heading = _HEADING.search(doc)
    return (doc[: heading.start()] if heading else doc).strip()


def _argument_docs(node: ast.ClassDef | ast.FunctionDef) -> dict[str, str]:
    """By parameter what the docstring's section "Args:" says of it, on one line."""
    doc = ast.get_docstring(node) or ""
    section = _SECTION.search(doc)
    if not section:
        return {}
    rest = doc[section.end() :]
    heading = _HEADING.search(rest)
    parts = _ENTRY.split(rest[: heading.start()] if heading else rest)[1:]
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return {
        name.strip(): " ".join(text.split()) for names, text in pairs for name in names.split(",")
    }
