"""Who is served how well: accuracy by library and by client, since a mean can hide one that was given up."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from firsthand.fedboost.lab.measures import WORDS, Value, digit_case
from firsthand.fedboost.lab.runs import LAST, WORD_ROUNDS, Case, digit_shares, digits, history
from firsthand.kit.lab.claims import Curve

LIBRARIES = ("print", "sign")
#: Federations on words whose accuracy by library is kept: (split, local epochs) to strategies of WORDS.
WORD_TABLE: dict[tuple[str, int], tuple[str, ...]] = {
    ("domains", 1): ("fedavg", "fedavg-size", "fedprox", "qffl", "fedboosting", "clipped", "warm", "softmax"),
    ("domains", 3): ("fedavg", "fedboosting", "clipped", "softmax"),
    ("even", 1): ("fedavg", "fedboosting"),
    ("corrupted", 1): ("fedavg", "fedavg-size", "fedprox", "qffl", "median", "fedboosting", "clipped"),
}
#: Federations on digits whose accuracy by client is kept. With equal shares clients are alike, so the table needs none.
DIGIT_TABLE: dict[tuple[str, int], tuple[str, ...]] = {
    ("corrupted", 1): ("fedavg", "median", "fedboosting"),
    ("corrupted", 5): ("fedavg", "median", "fedboosting", "softmax"),
    ("swapped", 5): ("fedavg", "fedboosting"),
    ("sorted", 1): ("fedavg", "fedboosting"),
    ("sorted", 5): ("fedavg", "fedboosting", "clipped", "softmax"),
    ("dirichlet", 1): ("fedavg", "fedboosting"),
}


def word_case(split: str, epochs: int, name: str) -> Case:
    """A federation of WORD_TABLE."""
    return replace(WORDS[name], split=split, epochs=epochs)


def library_curve(split: str, epochs: int, name: str, library: str, seed: int) -> list[float | None]:
    """Word accuracy (percent) on one library after every round."""
    return (100 * history(word_case(split, epochs, name), seed).scores[library]).tolist()


def client_scores(split: str, epochs: int, name: str, seed: int) -> list[float | None]:
    """Final accuracy (percent) on test digits in the mix of labels that each client holds, (N,)."""
    found = history(digit_case(split, name, epochs), seed)
    by_label = np.array([100 * found.scores[str(label)][-LAST["digits"] :].mean() for label in range(10)])
    labels = digits()[1].numpy()
    mixes = [np.bincount(labels[rows], minlength=10) / len(rows) for rows in digit_shares(split, 3, seed)]
    return [float(mix @ by_label) for mix in mixes]


def worst_client(split: str, epochs: int, seed: int) -> Value:
    """Accuracy (percent) of the worst served client on digits, FedBoosting against FedAvg."""
    boosted, average = (np.array(client_scores(split, epochs, name, seed)) for name in ("fedboosting", "fedavg"))
    return float(boosted.min()), float(average.min())


def _library(split: str, epochs: int, name: str, library: str) -> Curve:
    rounds = [float(r) for r in range(1, WORD_ROUNDS[epochs] + 1)]
    return Curve(
        f"{split}-e{epochs}-{name}-{library}", "round", rounds, partial(library_curve, split, epochs, name, library)
    )


def _clients(split: str, epochs: int, name: str) -> Curve:
    return Curve(
        f"clients-{split}-e{epochs}-{name}", "client", [0.0, 1.0, 2.0], partial(client_scores, split, epochs, name)
    )


CURVES: list[Curve] = [
    *(_library(*key, name, library) for key, names in WORD_TABLE.items() for name in names for library in LIBRARIES),
    *(_clients(*key, name) for key, names in DIGIT_TABLE.items() for name in names),
]
