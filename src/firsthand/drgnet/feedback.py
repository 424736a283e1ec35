"""An expert's corrections: records in JSON, a journal that survives a kill, and a simulated expert.

The paper's abstract fixes the principle only; records, journal and expert are ours.
"""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jsonschema import Draft202012Validator
from scipy import ndimage

from firsthand.data.drawn.lesions import KINDS
from firsthand.drgnet.losses import MEANT
from firsthand.errors import UserError

SOURCES = ("expert", "simulated")
MOST_RUNS = 400_000
RUNS = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 2**30}, "maxItems": MOST_RUNS}
#: What a record must look like. Masks are lengths of runs, line by line: of nothing, then of lesion, and so on.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image", "round", "size", "grade", "lesions", "source"],
    "properties": {
        "image": {"type": "string", "pattern": r"\A[0-9a-zA-Z_.-]{1,80}\Z"},
        "round": {"type": "integer", "minimum": 0},
        "size": {"type": "integer", "minimum": 8, "maximum": 2048},
        "grade": {"enum": [0, 1, 2, 3, 4, None]},
        "source": {"enum": list(SOURCES)},
        "clicks": {"type": "integer", "minimum": 0},
        "lesions": {
            "type": "object",
            "additionalProperties": False,
            "patternProperties": {
                rf"\A({'|'.join(KINDS)})\Z": {
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
class Correction:
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
    def empty(cls, image: str, number: int, size: int, **rest: Any) -> Correction:
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
    def from_record(cls, record: Any, where: str = "the feedback") -> Correction:
        """Read and check a record.

        Raises:
            UserError: it is not as SCHEMA says, a mask is longer than the picture, or a pixel is said to be both.
        """
        problem = next(iter(Draft202012Validator(SCHEMA).iter_errors(record)), None)
        if problem is not None:
            place = "/".join(str(part) for part in problem.absolute_path) or "the top"
            raise UserError(f"In {where}, {place}: {problem.message[:120]}.")
        grade = None if record["grade"] is None else int(record["grade"])  # JSON's 2.0 is an integer too
        found = cls.empty(record["image"], int(record["round"]), int(record["size"]), grade=grade)
        found.source, found.clicks = record["source"], int(record.get("clicks", 0))
        for number, kind in enumerate(KINDS):
            said = record["lesions"].get(kind, {})
            try:
                found.positive[number] = from_runs([int(n) for n in said.get("positive", [])], found.size)
                found.negative[number] = from_runs([int(n) for n in said.get("negative", [])], found.size)
            except ValueError as error:
                raise UserError(f"In {where}, {kind}: {error}") from error
            if said.get("presence") is not None:
                found.presence[kind] = said["presence"] == "yes"
        if (found.positive & found.negative).any():
            raise UserError(f"In {where}, a pixel is said to be lesion and not to be.")
        return found


# --------------------------------------------------------------------------------------------- journal


class Journal:
    """Correction in a file of lines of JSON, each on disk before `append` returns.

    A kill at any moment loses at most the record being written: half a line at the end is not read, and the next
    record begins on a line of its own.

    Args:
        file: made with its folder where it is missing.
    """

    def __init__(self, file: str | Path) -> None:
        self.file = Path(file)
        self.problems: list[str] = []
        self.file.parent.mkdir(parents=True, exist_ok=True)

    def append(self, feedback: Correction) -> None:
        """Write one record.

        Raises:
            UserError: it could not be read again.
        """
        record = feedback.to_record()
        Correction.from_record(record, "the feedback")
        line = json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"
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

    def read(self) -> list[Correction]:
        """All records that can be read; `problems` then says what is wrong with every other line."""
        self.problems = []
        found = []
        lines = self.file.read_bytes().split(b"\n") if self.file.is_file() else []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"{self.file.name}, line {number}"
            try:
                found.append(Correction.from_record(json.loads(line), where))
            except UserError as error:
                self.problems.append(str(error))
            except (ValueError, RecursionError):  # also bytes that are no text
                self.problems.append(f"{where} is no record; a kill may have cut it off.")
        return found


# ----------------------------------------------------------------------------------------- the simulated expert


@dataclass(frozen=True)
class Expert:
    """How a simulated expert corrects.

    Attributes:
        kind: "masks" (whole components), "clicks" (discs of RADIUS), "flags" (which lesions there are), "grade" (that
            alone), or "none".
        corrections: of masks or clicks a picture. noise: chance of every correction, and of the grade, to be wrong; a
            wrong one always contradicts the truth.
        threshold: probability from which the model's answer counts as lesion; that of equal odds behind its weights.
    """

    kind: str = "masks"
    corrections: int = 5
    noise: float = 0.0
    threshold: float = MEANT


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
    """(kind, is it missed, where): in turn the largest missed and the largest false part of every kind, so that small
    lesions are not drowned by large ones."""
    queues = []
    for kind in range(len(KINDS)):
        said = probability[kind] >= expert.threshold
        for missed, wrong in ((True, truth[kind] & ~said), (False, said & ~truth[kind])):
            parts = sorted(_components(wrong), key=lambda part: -part[0])[: expert.corrections]
            queues.append([(kind, missed, where) for _, where in parts])
    turns = itertools.zip_longest(*sorted(queues, key=lambda queue: -queue[0][2].sum() if queue else 0))
    return [part for turn in turns for part in turn if part is not None][: expert.corrections]


def simulated(
    image: str, number: int, probability: np.ndarray, truth: np.ndarray, grade: int, expert: Expert,
    rng: np.random.Generator,
) -> Correction:  # fmt: skip
    """What a simulated expert says of one picture.

    Args:
        image, number: name of the picture and of the round.
        probability: of lesions, (4, s, s). truth: bool, the same shape. grade: the true one.
        expert: how it corrects. rng: of its errors.
    """
    found = Correction.empty(image, number, truth.shape[-1], source="simulated")
    if expert.kind == "none":
        return found
    found.grade = grade
    if rng.random() < expert.noise:
        found.grade = int(rng.choice([other for other in (grade - 1, grade + 1) if 0 <= other <= 4]))
    if expert.kind == "flags":
        for place, name in enumerate(KINDS):
            found.presence[name] = bool(truth[place].any()) ^ bool(rng.random() < expert.noise)
        found.clicks = len(KINDS)
    elif expert.kind in ("masks", "clicks"):
        for kind, missed, where in _mistakes(probability, truth, expert):
            _say(found, kind, missed, where, truth, expert, rng)
    elif expert.kind != "grade":
        raise ValueError(f"Unknown expert {expert.kind!r}: choose masks, clicks, flags, grade or none.")
    found.negative &= ~found.positive
    return found


def _say(
    found: Correction, kind: int, missed: bool, where: np.ndarray, truth: np.ndarray, expert: Expert,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """One correction, perhaps a wrong one."""
    if rng.random() < expert.noise:
        kind, missed, where = _wrong(kind, where, truth, rng)
    if expert.kind == "clicks" and where.any():
        spots = np.argwhere(where)
        middle = spots[np.abs(spots - spots.mean(0)).sum(1).argmin()]
        where = where & _disc(found.size, (int(middle[0]), int(middle[1])), RADIUS)
    (found.positive if missed else found.negative)[kind] |= where
    found.clicks += 1


def _wrong(kind: int, where: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> tuple[int, bool, np.ndarray]:
    """A correction that contradicts the truth: a lesion denied, one of another kind, a sloppy outline, a lesion where
    there is none."""
    size = len(where)
    sort = rng.integers(4)
    parts = _components(truth[kind])
    if sort == 0 and parts:
        return kind, False, parts[int(rng.integers(len(parts)))][1]
    if sort == 1:
        other = int((kind + rng.integers(1, len(KINDS))) % len(KINDS))
        return other, True, where & ~truth[other]
    if sort == 2:
        return kind, True, ndimage.binary_dilation(where | truth[kind], iterations=2) & ~truth[kind]
    free = np.argwhere(~ndimage.binary_dilation(truth.any(0), iterations=5))
    centre = free[int(rng.integers(len(free)))] if len(free) else np.array([0, 0])
    return kind, True, _disc(size, (int(centre[0]), int(centre[1])), 4) & ~truth[kind]


def summary(records: list[Correction]) -> dict[str, int]:
    """How much an expert did: {"images", "clicks", "pixels", "grades"}."""
    return {
        "images": len(records), "clicks": sum(one.clicks for one in records),
        "pixels": sum(one.pixels for one in records), "grades": sum(one.grade is not None for one in records),
    }  # fmt: skip


__all__ = [
    "SCHEMA",
    "Correction",
    "Expert",
    "Journal",
    "from_runs",
    "simulated",
    "summary",
    "to_runs",
]  # fmt: skip
