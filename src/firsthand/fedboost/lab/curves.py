"""What is drawn along the rounds: accuracy of the stored federations, and bands for a reader's own."""

from __future__ import annotations

from functools import partial

from firsthand.fedboost.lab import by_client
from firsthand.fedboost.lab.measures import WORDS, digit_case
from firsthand.fedboost.lab.runs import DIGIT_ROUNDS, WORD_ROUNDS, history
from firsthand.kit.lab.claims import Curve


def words(name: str, seed: int) -> list[float | None]:
    """Word accuracy (percent, mean of both tests) after every round."""
    return (100 * history(WORDS[name], seed).mean_score()).tolist()


def digits(split: str, name: str, seed: int) -> list[float | None]:
    """Accuracy (percent) on digits after every round."""
    return (100 * history(digit_case(split, name, 1), seed).scores["digits"]).tolist()


def _rounds(last: int) -> list[float]:
    return [float(number) for number in range(1, last + 1)]


CURVES: list[Curve] = [
    *(
        Curve(name, "round", _rounds(WORD_ROUNDS[1]), partial(words, name))
        for name in ("fedavg", "fedboosting", "qffl")
    ),
    Curve("digits", "round", _rounds(DIGIT_ROUNDS), partial(digits, "iid", "fedboosting")),
    *(
        Curve(f"digits-corrupted-{name}", "round", _rounds(DIGIT_ROUNDS), partial(digits, "corrupted", name))
        for name in ("fedavg", "fedboosting", "median")
    ),
    *by_client.CURVES,
]
