"""Settings changed from outside: every field of every chapter, from text and back; refusals are one sentence."""

from __future__ import annotations

import dataclasses
import importlib
import json
import types
import typing
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pytest

from firsthand.chapters import chapters
from firsthand.errors import UserError
from firsthand.kit import Result, changed_settings, with_settings
from firsthand.kit.lab.results import to_json
from firsthand.kit.lab.settings import setting_names


@dataclass(frozen=True)
class Recipe:
    steps: int = 10
    warmup: int = 2
    lr: float = 1e-3

    def __post_init__(self) -> None:
        if not 0 <= self.warmup <= self.steps:
            raise ValueError(f"warmup must lie between 0 and steps;\ngot {self.warmup} of {self.steps}.")


@dataclass(frozen=True)
class Config:
    preset: str
    recipe: Recipe = Recipe()
    extra: Recipe | None = None
    mode: Literal["a", "b", 3] = "a"
    gate: str | None = "frozen"
    name: str = "x"
    flip: bool | None = None
    betas: tuple[float, float] = (0.9, 0.95)
    plan: tuple[int | str, ...] = (16, "pool")
    made: int = field(default=0, init=False)


BOOK = Config("book")

VALUES = [
    ("recipe.steps", "1_200", 1200),
    ("recipe.steps", np.int64(12), 12),
    ("recipe.lr", "1e-4", 1e-4),
    ("recipe.lr", 2, 2.0),
    ("recipe.lr", np.float32(0.5), 0.5),
    ("extra.steps", "30", 30),
    ("extra", None, None),
    ("mode", "b", "b"),
    ("mode", "3", 3),
    ("gate", "none", None),
    ("gate", "None", None),
    ("name", "none", "none"),
    ("name", "a=b, c", "a=b, c"),
    ("flip", "True", True),
    ("flip", "none", None),
    ("flip", np.bool_(False), False),
    ("betas", "0.9, 0.999", (0.9, 0.999)),
    ("betas", [0.5, 1], (0.5, 1.0)),
    ("plan", "(16, pool, 32)", (16, "pool", 32)),
    ("plan", "8,", (8,)),
    ("plan", "", ()),
    ("plan", np.array([1, 2]), (1, 2)),
]


@pytest.mark.parametrize(("name", "given", "value"), VALUES)
def test_a_value_is_read_as_its_annotation_says(name, given, value):
    place: Any = with_settings(BOOK, {name: given})
    for part in name.split("."):
        place = getattr(place, part)
    assert place == value
    assert type(place) is type(value)


REFUSED = [
    ({"recipe.step": 1}, "Unknown setting 'recipe.step': the nearest are recipe.steps"),
    ({"warmup": 1}, "Unknown setting 'warmup': the nearest are recipe.warmup, extra.warmup."),
    ({"zzz": 1}, "Unknown setting 'zzz': there are recipe, extra, mode, gate, name, flip, betas, plan."),
    ({"name.x": 1}, "Unknown setting 'name.x'"),
    ({"made": 1}, "Unknown setting 'made'"),
    ({"preset": "other"}, "preset is no setting"),
    ({"recipe.steps": "many"}, "recipe.steps must be a whole number below 2^63; got 'many'."),
    ({"recipe.steps": "1.5"}, "recipe.steps must be a whole number below 2^63; got '1.5'."),
    ({"recipe.steps": 1.0}, "recipe.steps must be a whole number below 2^63; got 1.0."),
    ({"recipe.steps": True}, "recipe.steps must be a whole number below 2^63; got True."),
    ({"recipe.steps": 2**63}, "recipe.steps must be a whole number below 2^63; got 9223372036854775808."),
    ({"recipe.steps": 10**5000}, "got a number too large to show."),
    ({"recipe.steps": "__import__('os').getpid()"}, "recipe.steps must be a whole number"),
    ({"recipe.lr": "nan"}, "recipe.lr must be a finite number; got 'nan'."),
    ({"recipe.lr": False}, "recipe.lr must be a finite number; got False."),
    ({"flip": "yes"}, "flip must be true or false or none; got 'yes'."),
    ({"flip": 1}, "flip must be true or false or none; got 1."),
    ({"name": None}, "name must be text; got None."),
    ({"mode": "c"}, "mode must be one of a, b, 3; got 'c'."),
    ({"betas": "0.9"}, "betas must be 2 finite numbers with commas between them; got '0.9'."),
    ({"betas": "0.9,x"}, "betas must be 2 finite numbers with commas between them; got '0.9,x'."),
    ({"recipe": "3"}, "recipe is a group; set what is in it: recipe.steps, recipe.warmup, recipe.lr."),
    ({"extra": "3"}, "extra is a group; set what is in it (or all of it to none): extra.steps"),
    ({"recipe.steps": 1}, "recipe: warmup must lie between 0 and steps; got 2 of 1."),
    ({"recipe": {"steps": 3}, "recipe.steps": 4}, "recipe.steps is set twice"),
    ({"extra": None, "extra.steps": 4}, "extra and extra.steps are set at once"),
    ([("name", "x")], "Settings are a mapping"),
]


@pytest.mark.parametrize(("settings", "words"), REFUSED)
def test_a_refusal_is_one_sentence(settings, words):
    with pytest.raises(UserError) as refused:
        with_settings(BOOK, settings)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 250


def test_names_may_be_nested_and_one_setting_may_allow_another():
    dotted = with_settings(BOOK, {"recipe.steps": "1", "recipe.warmup": "1", "name": "y"})
    assert dotted == replace(BOOK, recipe=Recipe(1, 1), name="y")
    assert with_settings(BOOK, {"recipe": {"steps": 1, "warmup": 1}, "name": "y"}) == dotted
    assert with_settings(BOOK, {"recipe": Recipe(1, 1), "name": "y"}) == dotted
    assert with_settings(BOOK, {}) == with_settings(BOOK, {"recipe": {}}) == BOOK
    assert Config("book") == BOOK


def test_what_was_changed_is_stored_with_the_result():
    config = with_settings(BOOK, {"recipe.lr": "0.5", "extra.steps": "7", "plan": "1,pool", "gate": "none"})
    changed = changed_settings(BOOK, config)
    assert changed == {
        "recipe.lr": 0.5, "extra": {"steps": 7, "warmup": 2, "lr": 1e-3}, "plan": [1, "pool"], "gate": None,
    }  # fmt: skip
    assert with_settings(BOOK, json.loads(json.dumps(changed))) == config
    assert changed_settings(config, BOOK)["extra"] is None
    result = Result("hcvi", "book", 1, {"a": 1.0}, {"b": np.array([1.0])})
    content = json.loads(to_json(result, changed))
    assert content.pop("settings") == changed
    assert content == json.loads(result.to_json())
    assert to_json(result, {}) == result.to_json()


# ---------------------------------------------------------------------------------------------- every chapter

#: Where a text must be one of a few.
CHOICES = {("dgfont", "recipe.mode"): ["none", "font"], ("dgfont", "recipe.optimizer"): ["adam", "rmsprop"]}


def _others(kind: Any, now: Any, choices: list[str]) -> list[str]:
    """Texts for other values of an annotation than `now`; a dataclass may refuse some beside its other fields."""
    inside = [one for one in typing.get_args(kind) if one not in (types.NoneType, ...)]
    if typing.get_origin(kind) is tuple:
        return [",".join(_others(one, None, choices)[0] for one in inside)]
    if inside and typing.get_origin(kind) is not Literal:
        return _others(inside[0], now, choices)
    numbers = [now + 1, now - 1] if isinstance(now, (int, float)) else [7]
    texts = {
        bool: ["true", "false"], int: [*map(str, numbers)], str: [*choices, "another"],
        float: ["0.125", "0.25", *map(str, numbers)],
    }  # fmt: skip
    return [text for text in texts.get(kind, [*map(str, inside)]) if text != str(now).lower()]


def _changed(config: Any, key: str, name: str, kind: Any) -> Any:
    """The configuration with another value of one setting, the first that it takes."""
    now: Any = config
    for part in name.split("."):
        now = getattr(now, part, None)
    refused = []
    for text in _others(kind, now, CHOICES.get((key, name), [])):
        try:
            return with_settings(config, {name: text})
        except UserError as error:
            refused.append(str(error))
    raise AssertionError(refused)


def _groups(kind: Any) -> list[type]:
    return [one for one in (kind, *typing.get_args(kind)) if dataclasses.is_dataclass(one)]


@pytest.mark.parametrize("key", chapters())
@pytest.mark.parametrize("preset", ["smoke", "book", "paper"])
def test_every_setting_of_a_chapter_can_be_changed_from_text_and_back(key, preset):
    config = importlib.import_module(f"firsthand.{key}").PRESETS[preset]
    names = setting_names(type(config))
    assert set(names) >= {one.name for one in dataclasses.fields(config)} - {"preset"}
    for name, kind in names.items():
        if _groups(kind):
            continue
        changed = _changed(config, key, name, kind)
        said = changed_settings(config, changed)
        assert len(said) == 1, name
        assert name.startswith(next(iter(said))), name  # or the group that was none
        back = changed_settings(changed, config)
        assert with_settings(changed, back) == config, name


@pytest.mark.parametrize("key", chapters())
def test_a_chapter_exports_what_its_settings_are_made_of(key):
    chapter = importlib.import_module(f"firsthand.{key}")
    kinds = [chapter.Config, *(group for kind in setting_names(chapter.Config).values() for group in _groups(kind))]
    for kind in kinds:
        assert kind.__name__ in chapter.__all__, kind
        assert getattr(chapter, kind.__name__) is kind
    assert type(chapter.PRESETS["book"]) is chapter.Config
