"""Settings of the chapter's run, and their presets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """Settings of the experiment.

    Attributes:
        preset: name under which the result is stored.
        strategies: some of STRATEGIES.
        task: "digits", "words", or "folders": the full recogniser on data of one's own.
        split: of WORD_SPLITS, or of DIGIT_SPLITS.
        rounds, epochs, clients (of digits): R, E, N.
        keep, slices, warmup: as `federate`.
        data: of "folders": a folder with one subfolder a client in MJSynth's layout and iiit5k for the test.
        limit: of "folders": at most so many words a client and in the test; None: all, their pixels in files while
            the run lasts.
        batch: examples a step of "folders".
    """

    preset: str
    strategies: tuple[str, ...] = ("fedavg", "fedboosting")
    task: str = "digits"
    split: str = "corrupted"
    rounds: int = 10
    epochs: int = 1
    clients: int = 3
    keep: float | None = None
    slices: int | None = None
    warmup: int = 0
    data: str | None = None
    limit: int | None = None
    batch: int = 800


PRESETS = {
    "smoke": Config("smoke", rounds=1, limit=16),
    "book": Config("book", split="iid", rounds=20, limit=1000),
    "paper": Config("paper", task="folders", rounds=30),
}
