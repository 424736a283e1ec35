"""A hash of what a row's measure does: of every definition of this package that it reaches, and the files they read.

It compares abstract syntax, not text, and is free of places. Moving a function, renaming a file, splitting a module or
adding a row changes no row's hash; changing an operator changes the hash of the rows that reach it, and of no other.
Left out are: comments, docstrings, layout, annotations of functions, wording, imports of this package, and refusals (an
`if` that only raises, and what an exception says), since they can stop a measurement but not change a value.

How it finds what is reached: names, and attributes of modules, are followed from the measure through the package's
sources. Whatever else stands at the top level of a module that is reached (a call, say) counts too. A test runs rows
and compares what was called with what was found.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from firsthand.chapters import PACKAGE

_WORDING = {"sentence", "source", "metric", "unit"}  # keyword arguments that say a thing and do nothing
_REFUSALS = {"UserError", "ValueError", "TypeError", "IndexError", "KeyError", "RuntimeError", "NotImplementedError"}
_SKIPPED = ("ctx", "kind", "type_comment", "type_ignores", "returns", "lineno")
#: Folders whose files a definition reads by name: what was searched for, what was trained, arrays that ship.
_READ = ("evidence/*_tuning.json", "weights/*.safetensors", "data/embedded/*")

_NOTHING = hashlib.sha256(b"[]").hexdigest()

Place = tuple[str, str]  # a module's name and a name defined in it


@dataclass(frozen=True)
class _Module:
    """A parsed module: what its imported names stand for, what it defines, and what else it does."""

    name: str
    imports: Mapping[str, str]
    definitions: Mapping[str, list[ast.stmt]]
    effects: list[ast.stmt]


def _file_of(name: str) -> Path | None:
    """The source file of a module of this package, or None if it is not one."""
    base = PACKAGE.parent.joinpath(*name.split("."))
    for file in (base.with_suffix(".py"), base / "__init__.py"):
        if name.split(".")[0] == PACKAGE.name and file.is_file():
            return file
    return None


@cache
def _module(name: str) -> _Module | None:
    file = _file_of(name)
    if file is None:
        return None
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imports: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports.update(
                (a.asname or a.name.split(".")[0], a.name if a.asname else a.name.split(".")[0]) for a in node.names
            )
        elif isinstance(node, ast.ImportFrom):
            imports.update((a.asname or a.name, f"{node.module}.{a.name}") for a in node.names)
    definitions: dict[str, list[ast.stmt]] = {}
    effects = []
    for node in tree.body:
        names = _defined(node)
        for one in names:
            definitions.setdefault(one, []).append(node)
        if not names and not _is_silent(node):
            effects.append(node)
    return _Module(name, imports, definitions, effects)


def _defined(node: ast.stmt) -> list[str]:
    """The names that a statement at the top level binds, imports left out."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [
            one.id
            for target in targets
            for one in ast.walk(target)
            if isinstance(one, ast.Name) and one.id != "__all__"
        ]
    inner = [*getattr(node, "body", []), *getattr(node, "orelse", [])]
    return [name for one in inner for name in _defined(one)]


def _is_silent(node: ast.stmt) -> bool:
    """Imports, docstrings, `__all__`, and what runs only for a type checker or as a script."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Assign):  # an assignment without names is `__all__`
        return True
    if isinstance(node, ast.If):
        return any(isinstance(n, ast.Name) and n.id in ("TYPE_CHECKING", "__name__") for n in ast.walk(node.test))
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _resolve(module: str, name: str) -> Place | str | None:
    """What a name stands for in a module: a definition of the package, a module's dotted name, or None for a local."""
    here = _module(module)
    assert here is not None
    if name in here.definitions:
        return module, name
    return _named(here.imports[name]) if name in here.imports else None


def _named(dotted: str) -> Place | str:
    """A definition of the package, followed through modules that pass it on, or the dotted name itself."""
    parent, _, last = dotted.rpartition(".")
    if _file_of(dotted) is not None or not parent or _module(parent) is None:
        return dotted
    return _resolve(parent, last) or dotted


class _Canon:
    """Text forms of syntax in one module: no positions, no wording, references by name whatever the path to them.

    `targets` collects the definitions that were referred to, `read` the strings that may name files.
    """

    def __init__(self, module: str, renames: Mapping[str, str]) -> None:
        self.module, self.renames = module, renames
        self.targets: set[Place] = set()
        self.read: set[str] = set()

    def text(self, node: object) -> str:
        if isinstance(node, list):
            return "[" + ",".join(self.text(item) for item in node if not _is_left_out(item)) + "]"
        if isinstance(node, str):
            return repr(self.renames.get(node, node))  # an identifier
        if not isinstance(node, ast.AST):
            return repr(node)
        if isinstance(node, ast.Constant):
            self.read.update([node.value] if isinstance(node.value, str) else [])
            return f"(Constant {node.value!r})"
        if isinstance(node, ast.JoinedStr):
            self.read.add("".join(str(v.value) if isinstance(v, ast.Constant) else "*" for v in node.values))
        if isinstance(node, ast.keyword) and node.arg in _WORDING:
            return "wording"
        if isinstance(node, ast.Name | ast.Attribute) and (reference := self._reference(node)) is not None:
            return reference
        if isinstance(node, ast.Raise):
            return f"(Raise {_raised(node)})"
        parts = [type(node).__name__]
        for name, value in ast.iter_fields(node):
            if name in _SKIPPED or value is None or value == [] or (isinstance(node, ast.arg) and name == "annotation"):
                continue
            parts.append(f"{name}={self.text(value[1:] if name == 'body' and _has_docstring(node) else value)}")
        return "(" + " ".join(parts) + ")"

    def _reference(self, node: ast.Name | ast.Attribute) -> str | None:
        """A name, or a chain of attributes on a module, that leads to a definition or out of the package."""
        chain: list[str] = []
        base: ast.expr = node
        while isinstance(base, ast.Attribute):
            chain.insert(0, base.attr)
            base = base.value
        if not isinstance(base, ast.Name):
            return None
        found = _resolve(self.module, base.id)
        while isinstance(found, str) and chain and _file_of(found) is not None:
            found = _named(f"{found}.{chain.pop(0)}")
        if found is None:
            return None
        if isinstance(found, tuple):
            self.targets.add(found)
            found = self.renames.get(found[1], found[1])
        return f"<{'.'.join([found, *(self.renames.get(one, one) for one in chain)])}>"


def _is_left_out(node: object) -> bool:
    """Imports of this package, and refusals."""
    if isinstance(node, ast.Import):
        return all(alias.name.split(".")[0] == PACKAGE.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").split(".")[0] == PACKAGE.name
    if not isinstance(node, ast.If) or node.orelse or any(isinstance(n, ast.NamedExpr) for n in ast.walk(node.test)):
        return False
    return all(isinstance(one, ast.Raise) and _raised(one) in _REFUSALS for one in node.body)


def _raised(node: ast.Raise) -> str:
    what = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    return what.id if isinstance(what, ast.Name) else what.attr if isinstance(what, ast.Attribute) else ""


def _has_docstring(node: ast.AST) -> bool:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None


# ---------------------------------------------------------------------------------------------- what a row reaches


def _roots(value: Any) -> Iterator[tuple[str, Place | None]]:
    """What a measure is made of: texts of its values, and the definitions that it begins with."""
    if isinstance(value, functools.partial):
        for part in (value.func, *value.args, *(x for pair in sorted(value.keywords.items()) for x in pair)):
            yield from _roots(part)
    elif isinstance(value, types.FunctionType):
        yield from _roots_of_function(value)
    elif is_dataclass(value) and not isinstance(value, type):
        yield from _roots(type(value))
        for field in fields(value):
            yield field.name, None
            yield from _roots(getattr(value, field.name))
    elif isinstance(value, list | tuple | set | frozenset | dict):
        yield type(value).__name__, None
        for part in value.items() if isinstance(value, dict) else value:
            yield from _roots(part)
    elif isinstance(value, type) or callable(value):
        name = getattr(value, "__qualname__", type(value).__qualname__).split(".")[0]
        module = getattr(value, "__module__", "") or ""
        yield name, (module, name) if _file_of(module) is not None else None
    else:
        yield repr(value), None


def _roots_of_function(function: types.FunctionType) -> Iterator[tuple[str, Place | None]]:
    """A function of a module by name; one made inside another, or a lambda, by its syntax and what it closes over."""
    outer = function.__qualname__.split(".")[0]
    if not outer.startswith("<"):
        yield (
            function.__qualname__.split(".")[-1],
            (function.__module__, outer) if _file_of(function.__module__) else None,
        )
    wrapped = function.__wrapped__ if hasattr(function, "__wrapped__") else function
    if "<" in wrapped.__qualname__:
        module = _file_of(wrapped.__module__)
        tree = ast.parse(module.read_text(encoding="utf-8")) if module else ast.Module([], [])
        for node in ast.walk(tree):
            if isinstance(node, ast.Lambda | ast.FunctionDef) and node.lineno == wrapped.__code__.co_firstlineno:
                canon = _Canon(wrapped.__module__, {})
                yield canon.text(node), None
                yield from (("", place) for place in sorted(canon.targets))
        for cell in wrapped.__closure__ or ():
            yield from _roots(cell.cell_contents)


@dataclass(frozen=True)
class Definition:
    """What is hashed of a definition: the digest of its text, what it refers to, and strings that may name files."""

    digest: str
    targets: frozenset[Place]
    read: frozenset[str]


@cache
def _definition(place: Place, renames: tuple[tuple[str, str], ...]) -> Definition:
    """A definition, or (with the name "") everything else that its module does."""
    module = _module(place[0])
    assert module is not None
    here = {old.rpartition(".")[2]: new for old, new in renames if old.rpartition(".")[0] in ("", place[1])}
    canon = _Canon(place[0], here)
    text = canon.text(module.definitions[place[1]] if place[1] else module.effects)
    return Definition(hashlib.sha256(text.encode()).hexdigest(), frozenset(canon.targets), frozenset(canon.read))


def reached(measure: Any, renames: Mapping[str, str] | None = None) -> dict[Place, Definition]:
    """Every definition of the package that a measure can lead to, by place."""
    as_pairs = tuple(sorted((renames or {}).items()))
    definitions: dict[Place, Definition] = {}
    queue = [place for _, place in _roots(measure) if place is not None]
    while queue:
        place = queue.pop()
        if place not in definitions:
            definitions[place] = _definition(place, as_pairs)
            queue += [*definitions[place].targets, (place[0], "")]
    return definitions


def _files(definitions: Mapping[Place, Definition]) -> dict[str, str]:
    """{name: checksum} of the package's files that definitions name; weights by stem, where they are loaded."""
    strings = {text for one in definitions.values() for text in one.read}
    loads = any(place[1] == "shipped" and place[0].endswith(".weights") for place in definitions)
    checksums = {}
    for pattern in _READ:
        for file in PACKAGE.glob(pattern):
            stem = (
                loads and file.suffix == ".safetensors" and any(fnmatchcase(file.stem, one) for one in strings - {"*"})
            )
            if file.name in strings or stem:
                checksums[file.name] = _checksum(file)
    return checksums


@cache
def _checksum(file: Path) -> str:
    """Of a file's bytes; of a search's file only what was found, not the command and the headings."""
    content = file.read_bytes()
    if file.name.endswith("_tuning.json"):
        kept = {k: v for k, v in json.loads(content).items() if k not in ("command", "columns")}
        content = json.dumps(kept, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()


def code_hash(measure: Any, renames: Mapping[str, str] | None = None) -> str:
    """SHA-256 (16 hex digits) of what `measure` does, by this package's code and the package's files that it reads.

    Args:
        measure: the `measure` of a claim or a curve.
        renames: {old: new} identifiers, as if the code had the new ones already; "definition.old" in one only.
    """
    names = {old.rpartition(".")[2]: new for old, new in (renames or {}).items() if _is_itself(old)}
    definitions = reached(measure, renames)
    lines = {f"{names.get(text, text)} {definitions[place].digest if place else ''}" for text, place in _roots(measure)}
    for (_, name), one in definitions.items():
        if name or one.digest != _NOTHING:
            lines.add(
                " ".join([names.get(name, name), one.digest, *sorted(definitions[t].digest for t in one.targets)])
            )
    lines.update(f"{name} {checksum}" for name, checksum in _files(definitions).items())
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]


def _is_itself(old: str) -> bool:
    """Whether a name is given anew everywhere, or in the definition that has it."""
    return old.partition(".")[0] == old.rpartition(".")[2]


def identifiers(measure: Any) -> set[str]:
    """Every identifier in what `measure` reaches, alone and as "definition.name": a new name must be none of them."""
    names: set[str] = set()
    for module, name in reached(measure):
        content = _module(module)
        assert content is not None
        for node in content.definitions[name] if name else content.effects:
            for part in ast.walk(node):
                here = {str(getattr(part, one)) for one in ("id", "attr", "arg", "name") if hasattr(part, one)}
                names |= here | {f"{name}.{one}" for one in here}
    return names
