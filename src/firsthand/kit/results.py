"""What an experiment returns, and how files are written so that none is ever half there."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

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


def write_atomically(path: Path, text: str) -> None:
    """Write `text` to `path` through a temporary file beside it, so that a reader sees the old or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
