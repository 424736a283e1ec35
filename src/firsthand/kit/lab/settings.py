"""Settings of a run, changed from outside: by name, and checked against what the dataclass says of its fields.

A setting's name is its field's, with dots for a field of a field: "lesions.steps". Values may be text, as the command
line has them, or of the field's own type. Nothing is ever evaluated.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import operator
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union

import numpy as np

from firsthand.errors import UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    C = TypeVar("C", bound=DataclassInstance)

LARGEST = 2**63 - 1  # of whole numbers: what an int64 holds
UNFIT = (ValueError, TypeError, OverflowError)


def with_settings(config: C, settings: Mapping[str, Any]) -> C:
    """A configuration with some settings changed.

    Args:
        config: a dataclass, such as a chapter's `PRESETS["book"]`.
        settings: {name: value}, dotted as {"lesions.steps": 1200}, or nested as {"lesions": {"steps": 1200}}. Below a
            group that is None, the group's own defaults are where the change begins.

    Returns:
        A changed copy.

    Raises:
        UserError: an unknown name, a value of another type, or one that the dataclass refuses.
    """
    if not isinstance(settings, Mapping):
        raise UserError(f'Settings are a mapping such as {{"steps": 100}}; got {_brief(settings)}.')
    names = setting_names(type(config))
    tree: dict[str, Any] = {}
    for name, value in _flat(settings):
        if name == "preset":
            raise UserError("preset is no setting: it says what the settings change. Choose another preset instead.")
        if name not in names:
            raise UserError(_unknown(name, list(names)))
        _plant(tree, name, value)
    return _changed(config, tree, "")


def setting_names(kind: type[DataclassInstance]) -> dict[str, Any]:
    """What `with_settings` can change: {name: annotation}, groups before what is in them."""
    names = {}
    for name, annotation in _annotations(kind).items():
        names[name] = annotation
        group = _group_of(annotation)
        if group is not None:
            names |= {f"{name}.{inner}": its for inner, its in setting_names(group).items()}
    names.pop("preset", None)
    return names


def changed_settings(before: DataclassInstance, after: DataclassInstance) -> dict[str, Any]:
    """What differs between two configurations of one type, as JSON can hold it: {name: value of `after`}.

    `with_settings(before, changed_settings(before, after)) == after`.
    """
    changed: dict[str, Any] = {}
    for name in _annotations(type(after)):
        old, new = getattr(before, name), getattr(after, name)
        if old == new:
            continue
        if dataclasses.is_dataclass(new) and not isinstance(new, type) and isinstance(old, type(new)):
            changed |= {f"{name}.{inner}": value for inner, value in changed_settings(old, new).items()}
        else:
            changed[name] = _plain(new)
    return changed


# ------------------------------------------------------------------------------------------------------- names


def _annotations(kind: type[DataclassInstance]) -> dict[str, Any]:
    """{field: annotation} of a dataclass, those alone that its constructor takes."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.init}


def _group_of(annotation: Any) -> type[DataclassInstance] | None:
    """The dataclass of an annotation such as `Terms` or `Terms | None`; None where there is none."""
    for kind in (annotation, *typing.get_args(annotation)):
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            return kind
    return None


def _flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of a mapping, dotted or nested."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", {} if isinstance(value, Mapping) else value


def _plant(tree: dict[str, Any], name: str, value: Any) -> None:
    """Put a value into nested dictionaries, where no other may have been put at, above or below it."""
    *groups, last = name.split(".")
    for group in groups:
        tree = tree.setdefault(group, {})
        if not isinstance(tree, dict):
            raise UserError(f"{group} and {name} are set at once; give one of them.")
    if last in tree:
        raise UserError(f"{name} is set twice; give it once.")
    tree[last] = value


def _unknown(name: str, names: list[str]) -> str:
    last = {known: known.rpartition(".")[2] for known in names}
    given = name.rpartition(".")[2]
    near = get_close_matches(name, names, n=3, cutoff=0.8)
    near += [known for known in names if last[known] == given]
    near += [known for known in names if last[known] in get_close_matches(given, set(last.values()), n=1)]
    first = list(dict.fromkeys(near))[:6] or [known for known in names if "." not in known]
    return f"Unknown setting {_brief(name)}: {'the nearest are' if near else 'there are'} {', '.join(first)}."


# ------------------------------------------------------------------------------------------------------ values


def _changed(config: C, tree: dict[str, Any], above: str) -> C:
    """The dataclass with a tree of values put in; all of its own at once, since one may allow another."""
    kinds, values = _annotations(type(config)), {}
    for name, value in tree.items():
        path, group = f"{above}{name}", _group_of(kinds[name])
        if isinstance(value, dict) and group is not None:
            present = getattr(config, name)
            begin = _built(group, {}, path) if present is None else present
            values[name] = _changed(begin, value, f"{path}.")
        else:
            values[name] = _value(kinds[name], value, path)
    return _built(lambda **changes: dataclasses.replace(config, **changes), values, above.rstrip("."))


def _built(make: Callable[..., C], values: dict[str, Any], path: str) -> C:
    """A dataclass from values; what it refuses, in one sentence."""
    try:
        return make(**values)
    except (TypeError, ValueError) as error:
        where = f"{path}: " if path else ""
        raise UserError(f"{where}{' '.join(str(error).split())}") from None


def _value(kind: Any, given: Any, path: str) -> Any:
    """A value of a field, from text or from its own type.

    Raises:
        UserError: not one of its annotation.
    """
    try:
        return _read(kind, given)
    except UNFIT:
        group = _group_of(kind)
        if group is None:
            raise UserError(f"{path} must be {_words(kind)}; got {_brief(given)}.") from None
        each = ", ".join(f"{path}.{inner}" for inner in _annotations(group))
        off = " (or all of it to none)" if types.NoneType in typing.get_args(kind) else ""
        raise UserError(f"{path} is a group; set what is in it{off}: {each}.") from None


def _read(kind: Any, given: Any) -> Any:
    """A value as an annotation says; one of UNFIT where it does not fit."""
    inside = typing.get_args(kind)
    if typing.get_origin(kind) in (Union, types.UnionType):
        return _read_any(sorted(inside, key=lambda one: one is not types.NoneType), given)  # none before text
    if typing.get_origin(kind) is Literal:
        return _read_choice(inside, given)
    if typing.get_origin(kind) is tuple:
        return _read_tuple(inside, given)
    if kind in _READERS:
        return _READERS[kind](given)
    if isinstance(given, kind):
        return given
    raise ValueError(f"{given!r} is no {kind}")


def _read_any(kinds: list[Any], given: Any) -> Any:
    for kind in kinds:
        try:
            return _read(kind, given)
        except UNFIT:
            continue
    raise ValueError(f"{given!r} is none of {kinds}")


def _read_choice(choices: tuple[Any, ...], given: Any) -> Any:
    for choice in choices:
        if type(given) is type(choice) and given == choice:
            return choice
    for choice in choices:
        if given == str(choice):
            return choice
    raise ValueError(f"{given!r} is none of {choices}")


def _read_tuple(kinds: tuple[Any, ...], given: Any) -> tuple[Any, ...]:
    if isinstance(given, str):
        text = given.strip()
        text = text[1:-1] if text[:1] + text[-1:] in ("()", "[]") else text
        given = [part.strip() for part in text.split(",")]
        given = given[:-1] if not given[-1] else given  # "" is empty, and "3," has one part
    if not isinstance(given, (list, tuple, np.ndarray)):
        raise ValueError(f"{given!r} is no list")
    kinds = (kinds[0],) * len(given) if kinds[1:] == (...,) else kinds
    return tuple(_read(kind, one) for kind, one in zip(kinds, given, strict=True))


def _read_none(given: Any) -> None:
    if given is not None and str(given).lower() != "none":
        raise ValueError(f"{given!r} is not none")


def _read_bool(given: Any) -> bool:
    if isinstance(given, (bool, np.bool_)):
        return bool(given)
    return bool(["false", "true"].index(str(given).lower()))


def _read_int(given: Any) -> int:
    if isinstance(given, (bool, np.bool_)):
        raise ValueError(f"{given!r} is no number")
    number = int(given) if isinstance(given, str) else operator.index(given)
    if abs(number) > LARGEST:
        raise ValueError("too large")
    return number


def _read_float(given: Any) -> float:
    if isinstance(given, (bool, np.bool_)) or not isinstance(given, (str, numbers.Real)):
        raise ValueError(f"{given!r} is no number")
    number = float(given)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


def _read_str(given: Any) -> str:
    if not isinstance(given, str):
        raise ValueError(f"{given!r} is no text")
    return given


_READERS: dict[Any, Callable[[Any], Any]] = {
    types.NoneType: _read_none, bool: _read_bool, int: _read_int, float: _read_float, str: _read_str,
}  # fmt: skip
_WORDS: dict[Any, tuple[str, str]] = {
    types.NoneType: ("none", "none"), bool: ("true or false", "true or false"), str: ("text", "words"),
    int: ("a whole number below 2^63", "whole numbers below 2^63"), float: ("a finite number", "finite numbers"),
}  # fmt: skip


def _words(kind: Any, many: bool = False) -> str:
    """What an annotation asks for, to put behind "must be"."""
    inside = typing.get_args(kind)
    if typing.get_origin(kind) in (Union, types.UnionType):
        return " or ".join(_words(one, many) for one in inside)
    if typing.get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, inside))}"
    if typing.get_origin(kind) is tuple:
        count = "" if inside[1:] == (...,) else f"{len(inside)} "
        return f"{count}{_words(inside[0], True)} with commas between them"
    return _WORDS[kind][many] if kind in _WORDS else str(kind)


def _brief(given: Any) -> str:
    """What was given, short enough for a sentence."""
    try:
        text = repr(given)
    except ValueError:  # a whole number of thousands of digits
        return "a number too large to show"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _plain(value: Any) -> Any:
    """A setting as JSON can hold it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(getattr(value, name)) for name in _annotations(type(value))}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value
