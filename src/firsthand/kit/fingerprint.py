"""A hash of the code that measured something, blind to comments, docstrings, layout and wording.

Abstract syntax is compared, not text, in a form that does not change between Python versions.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

from firsthand.chapters import PACKAGE

_WORDING = {"sentence", "source", "metric", "unit"}  # keyword arguments that say a thing and do nothing


def _module_file(name: str) -> Path | None:
    """The source file of a module of this package, or None if it is not one."""
    base = PACKAGE.parent.joinpath(*name.split("."))
    for file in (base.with_suffix(".py"), base / "__init__.py"):
        if name.split(".")[0] == PACKAGE.name and file.is_file():
            return file
    return None


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def source_files(module: str) -> list[Path]:
    """The file of `module` and of every module of this package that it imports, directly or not, sorted."""
    found: set[Path] = set()
    queue = [module]
    while queue:
        file = _module_file(queue.pop())
        if file is None or file in found:
            continue
        found.add(file)
        queue.extend(_imports(ast.parse(file.read_text(encoding="utf-8"))))
    return sorted(found)


def _has_docstring(node: ast.AST) -> bool:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None


def _canonical(node: object) -> str:
    """A text form of a syntax tree without positions, contexts, docstrings and empty fields."""
    if isinstance(node, list):
        return "[" + ",".join(_canonical(item) for item in node) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.keyword) and node.arg in _WORDING:
        return "wording"
    parts = [type(node).__name__]
    for name, value in ast.iter_fields(node):
        if name in ("ctx", "kind", "type_comment", "type_ignores") or value is None or value == []:
            continue
        parts.append(f"{name}={_canonical(value[1:] if name == 'body' and _has_docstring(node) else value)}")
    return "(" + " ".join(parts) + ")"


def code_hash(module: str) -> str:
    """SHA-256 (16 hex digits) of what `module` and its imports within this package do."""
    digest = hashlib.sha256()
    for file in source_files(module):
        digest.update(file.relative_to(PACKAGE).as_posix().encode())
        digest.update(_canonical(ast.parse(file.read_text(encoding="utf-8"))).encode())
    return digest.hexdigest()[:16]
