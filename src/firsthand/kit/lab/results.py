"""What an experiment returns, and how files are written so that none is ever half there."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Result:
    """The outcome of one run of a chapter's experiment.

    Attributes:
        chapter, preset, seed: what was run.
        metrics: {name: number}; what tables and tests read.
        arrays: {name: array}; what figures draw.
        seconds: wall time, never part of the JSON.
    """

    chapter: str
    preset: str
    seed: int
    metrics: dict[str, float]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    seconds: float = 0.0

    def to_json(self) -> str:
        """Everything but the time: the same seed gives the same text, byte for byte. A nan becomes null."""
        content = {
            "chapter": self.chapter,
            "preset": self.preset,
            "seed": self.seed,
            "metrics": {name: _plain(value) for name, value in self.metrics.items()},
            "arrays": {name: _plain(np.asarray(value).tolist()) for name, value in self.arrays.items()},
        }
        return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _plain(value: object) -> object:
    """Numbers JSON can hold: nan and infinities become null, in nested lists too."""
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def to_json(result: Result, settings: dict[str, object]) -> str:
    """A result's JSON, with the settings in which the run differed from its preset; without any, as `Result.to_json`.

    Args:
        result: of the run.
        settings: as `changed_settings` gives them.
    """
    if not settings:
        return result.to_json()
    content = json.loads(result.to_json())
    first = {name: content.pop(name) for name in ("chapter", "preset", "seed")}
    return json.dumps({**first, "settings": settings, **content}, indent=1, allow_nan=False) + "\n"
