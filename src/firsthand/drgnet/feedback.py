"""An expert's corrections: records in JSON, a journal that survives a kill, and a simulated expert.

The paper's abstract fixes the principle only; records, journal and expert are ours.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jsonschema import Draft202012Validator
from scipy import ndimage

from firsthand.data.lesions import KINDS
from firsthand.errors import UserError

SOURCES = ("expert", "simulated")
RUNS = {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": 400_000}
#: What a record must look like. Masks are lengths of runs, line by line: of nothing, then of lesion, and so on.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image", "round", "size", "grade", "lesions", "source"],
    "properties": {
        "image": {"type": "string", "pattern": "^[0-9a-zA-Z_.-]{1,80}$"},
        "round": {"type": "integer", "minimum": 0},
        "size": {"type": "integer", "minimum": 8, "maximum": 4096},
        "grade": {"enum": [0, 1, 2, 3, 4, None]},
        "source": {"enum": list(SOURCES)},
        "clicks": {"type": "integer", "minimum": 0},
        "lesions": {
            "type": "object",
            "additionalProperties": False,
            "patternProperties": {
                f"^({'|'.join(KINDS)})$": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"positive": RUNS, "negative": RUNS, "presence": {"enum": ["yes", "no", None]}},
                }
            },
        },
    },
}  # fmt: skip


def to_runs(mask: np.ndarray) -> list[int]:
    """Lengths of runs of a mask (h, w), line by line, beginning with what is not set."""
    flat = np.concatenate([[False], mask.ravel().astype(bool), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    if not len(edges):
        return []
    return [int(length) for length in np.diff(np.concatenate([[0], edges]))]


def from_runs(runs: list[int], size: int) -> np.ndarray:
    """The mask (size, size) of such lengths.

    Raises:
        ValueError: they are longer than the picture.
    """
    if sum(runs) > size * size:
        raise ValueError(f"Runs of {sum(runs)} pixels do not fit into {size} by {size}.")
    flat = np.zeros(size * size, dtype=bool)
    at = 0
    for number, length in enumerate(runs):
        flat[at : at + length] = bool(number % 2)
        at += length
    return flat.reshape(size, size)


@dataclass
class Feedback:
    """What an expert said of one picture.

    Attributes:
        image: its name or hash. round: of the interaction. size: pixels a side.
        positive, negative: bool (4, size, size), pixels that are lesion, or are not.
        grade: 0 to 4, or None. presence: by kind, True or False; kinds that are not named are unknown.
        source: of SOURCES. clicks: how many strokes or clicks it took.
    """

    image: str
    round: int
    size: int
    positive: np.ndarray
    negative: np.ndarray
    grade: int | None = None
    presence: dict[str, bool] = field(default_factory=dict)
    source: str = "expert"
    clicks: int = 0

    @classmethod
    def empty(cls, image: str, number: int, size: int, **rest: Any) -> Feedback:
        """Nothing said yet."""
        none = np.zeros((len(KINDS), size, size), dtype=bool)
        return cls(image, number, size, none, none.copy(), **rest)

    @property
    def pixels(self) -> int:
        """How many pixels were annotated."""
        return int((self.positive | self.negative).sum())

    def to_record(self) -> dict[str, Any]:
        """As JSON has it."""
        lesions: dict[str, dict[str, Any]] = {}
        for number, kind in enumerate(KINDS):
            said: dict[str, Any] = {
                name: to_runs(mask[number])
                for name, mask in (("positive", self.positive), ("negative", self.negative))
                if mask[number].any()
            }
            if kind in self.presence:
                said["presence"] = "yes" if self.presence[kind] else "no"
            if said:
                lesions[kind] = said
        return {
            "image": self.image, "round": self.round, "size": self.size, "grade": self.grade, "lesions": lesions,
            "source": self.source, "clicks": self.clicks,
        }  # fmt: skip

    @classmethod
    def from_record(cls, record: Any, where: str = "the feedback") -> Feedback:
        """Read and check a record.

        Raises:
            UserError: it is not as SCHEMA says, a mask is longer than the picture, or a pixel is said to be both.
        """
        problem = next(iter(Draft202012Validator(SCHEMA).iter_errors(record)), None)
        if problem is not None:
            place = "/".join(str(part) for part in problem.absolute_path) or "the top"
            raise UserError(f"In {where}, {place}: {problem.message[:120]}.")
        found = cls.empty(record["image"], record["round"], record["size"], grade=record["grade"])
        found.source, found.clicks = record["source"], record.get("clicks", 0)
        for number, kind in enumerate(KINDS):
            said = record["lesions"].get(kind, {})
            try:
                found.positive[number] = from_runs(said.get("positive", []), found.size)
                found.negative[number] = from_runs(said.get("negative", []), found.size)
            except ValueError as error:
                raise UserError(f"In {where}, {kind}: {error}") from error
            if said.get("presence") is not None:
                found.presence[kind] = said["presence"] == "yes"
        if (found.positive & found.negative).any():
            raise UserError(f"In {where}, a pixel is said to be lesion and not to be.")
        return found


# --------------------------------------------------------------------------------------------- journal


class Journal:
    """Feedback in a file of lines of JSON, each on disk before `append` returns.

    A kill at any moment loses at most the record being written: half a line at the end is not read, and the next
    record begins on a line of its own.

    Args:
        file: made with its folder where it is missing.
    """

    def __init__(self, file: str | Path) -> None:
        self.file = Path(file)
        self.file.parent.mkdir(parents=True, exist_ok=True)

    def append(self, feedback: Feedback) -> None:
        """Write one record."""
        line = json.dumps(feedback.to_record(), separators=(",", ":"), allow_nan=False).encode() + b"\n"
        with self.file.open("ab+") as journal:
            end = journal.seek(0, os.SEEK_END)
            if end and not self._ends_whole(journal, end):
                line = b"\n" + line
            journal.write(line)
            journal.flush()
            os.fsync(journal.fileno())

    @staticmethod
    def _ends_whole(journal: Any, end: int) -> bool:
        journal.seek(end - 1)
        return bool(journal.read(1) == b"\n")

    def read(self) -> list[Feedback]:
        """All records.

        Raises:
            UserError: a whole line that is no record; a line that a kill cut off is passed over.
        """
        if not self.file.is_file():
            return []
        found = []
        for number, line in enumerate(self.file.read_bytes().split(b"\n"), 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError:  # also bytes that are no text
                continue  # cut off
            found.append(Feedback.from_record(record, f"{self.file.name}, line {number}"))
        return found


# ----------------------------------------------------------------------------------------- the simulated expert


@dataclass(frozen=True)
class Expert:
    """How a simulated expert corrects.

    Attributes:
        kind: "masks" (whole components), "clicks" (discs of RADIUS), "flags" (which lesions there are), "grade" (that
            alone), or "none".
        corrections: of masks or clicks a picture. noise: chance of every correction, and of the grade, to be wrong.
        threshold: probability from which the model's answer counts as lesion, by kind.
    """

    kind: str = "masks"
    corrections: int = 5
    noise: float = 0.0
    threshold: tuple[float, ...] = (0.5,) * len(KINDS)


RADIUS = 3  # pixels of a click


def _disc(size: int, centre: tuple[int, int], radius: int) -> np.ndarray:
    y, x = np.ogrid[:size, :size]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


def _components(wrong: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Connected parts of a mask with their sizes."""
    labels, count = ndimage.label(wrong, structure=np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    return [(int(sizes[number]), labels == number) for number in range(1, count + 1)]


def _mistakes(probability: np.ndarray, truth: np.ndarray, expert: Expert) -> list[tuple[int, bool, np.ndarray]]:
    """(kind, is it missed, where), the largest first; both sorts of mistake of every kind are looked at in turn."""
    queues = []
    for kind in range(len(KINDS)):
        said = probability[kind] >= expert.threshold[kind]
        for missed, wrong in ((True, truth[kind] & ~said), (False, said & ~truth[kind])):
            parts = sorted(_components(wrong), key=lambda part: -part[0])[: expert.corrections]
            queues.append([(size, kind, missed, where) for size, where in parts])
    found = sorted((part for queue in queues for part in queue), key=lambda part: -part[0])
    return [(kind, missed, where) for _, kind, missed, where in found[: expert.corrections]]


def simulated(
    image: str, number: int, probability: np.ndarray, truth: np.ndarray, grade: int, expert: Expert,
    rng: np.random.Generator,
) -> Feedback:  # fmt: skip
    """What a simulated expert says of one picture.

    Args:
        image, number: name of the picture and of the round.
        probability: of lesions, (4, s, s). truth: bool, the same shape. grade: the true one.
        expert: how it corrects. rng: of its errors.
    """
    found = Feedback.empty(image, number, truth.shape[-1], source="simulated")
    if expert.kind == "none":
        return found
    found.grade = grade
    if rng.random() < expert.noise:
        found.grade = int(np.clip(grade + rng.choice([-1, 1]), 0, 4))
    if expert.kind == "flags":
        for place, name in enumerate(KINDS):
            found.presence[name] = bool(truth[place].any()) ^ bool(rng.random() < expert.noise)
        found.clicks = len(KINDS)
    elif expert.kind in ("masks", "clicks"):
        for kind, missed, where in _mistakes(probability, truth, expert):
            _say(found, kind, missed, where, expert, rng)
    elif expert.kind != "grade":
        raise ValueError(f"Unknown expert {expert.kind!r}: choose masks, clicks, flags, grade or none.")
    found.negative &= ~found.positive
    return found


def _say(found: Feedback, kind: int, missed: bool, where: np.ndarray, expert: Expert, rng: np.random.Generator) -> None:
    """One correction, perhaps wrong: the wrong kind, a sloppy outline, or a spot where nothing is."""
    if rng.random() < expert.noise:
        sort = rng.integers(3)
        if sort == 0:
            kind = int((kind + rng.integers(1, len(KINDS))) % len(KINDS))
        elif sort == 1:
            where = ndimage.binary_dilation(where, iterations=2)
        else:
            where = _disc(found.size, tuple(rng.integers(0, found.size, 2)), 4)  # type: ignore[arg-type]
    if expert.kind == "clicks":
        spots = np.argwhere(where)
        middle = spots[np.abs(spots - spots.mean(0)).sum(1).argmin()]
        where = _disc(found.size, (int(middle[0]), int(middle[1])), RADIUS)
    (found.positive if missed else found.negative)[kind] |= where
    found.clicks += 1


def summary(records: list[Feedback]) -> dict[str, int]:
    """How much an expert did: {"images", "clicks", "pixels", "grades"}."""
    return {
        "images": len(records), "clicks": sum(one.clicks for one in records),
        "pixels": sum(one.pixels for one in records), "grades": sum(one.grade is not None for one in records),
    }  # fmt: skip


__all__ = [
    "SCHEMA", "Expert", "Feedback", "Journal", "from_runs", "simulated", "summary", "to_runs",
]  # fmt: skip
