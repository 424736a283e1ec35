"""The chapter's pipeline: one federation, scored after every round on every domain.

`run` is what the notebook, the command line and the tests call.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from firsthand.data.readers.words import ALPHANUMERIC, encode, load_words, read_iiit5k, read_mjsynth
from firsthand.errors import UserError
from firsthand.fedboost.federation import Client, History, Task, federate
from firsthand.fedboost.lab.config import PRESETS, Config
from firsthand.fedboost.lab.runs import DIGIT_SPLITS, WORD_SPLITS, digit_clients, digits, word_clients, word_tests
from firsthand.fedboost.network import CRNN, ctc_loss, words_right
from firsthand.fedboost.strategies import STRATEGIES, strategy
from firsthand.kit.lab.results import Result
from firsthand.kit.train.device import LARGEST_SEED, resolve_device, seed_refused

__all__ = ["PRESETS", "Config", "run", "with_data"]


# Fresh clients for every strategy, of data read once; and tests by name.
Federation = tuple[Callable[[], list[Client]], dict[str, tuple[Tensor, Tensor]]]
STEPS = 25  # columns that the full recogniser reads of a picture 100 wide


def with_data(config: Config, path: str) -> Config:
    """The full recogniser on a folder with one subfolder a client in MJSynth's layout, and `iiit5k`."""
    if not Path(path).is_dir():
        raise UserError(f"--data must be a folder with a subfolder for every client; {Path(path).name} is none.")
    return replace(config, data=path, task="folders")


def _folders(config: Config, device: torch.device, seed: int, scratch: Path) -> Federation:
    """Clients and tests of one's own data; Adadelta and its usual rate, as the released code.

    Args:
        config, device, seed: of the run. scratch: its own folder, for the pixels of clients.
    """
    if config.data is None:
        raise UserError("The preset needs words: give --data FOLDER with one subfolder a client and iiit5k.")
    folder = Path(config.data).resolve()
    if not folder.is_dir():
        raise UserError(f"The preset needs words; {folder.name} is no folder.")
    hidden = (".", "__")  # what this program, Jupyter and archives leave in a folder
    parties = sorted(f for f in folder.iterdir() if f.is_dir() and f.name != "iiit5k" and not f.name.startswith(hidden))
    if len(parties) < 2:
        raise UserError(f"{folder.name} needs at least two subfolders in MJSynth's layout, one a client.")

    def make() -> CRNN:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return CRNN().to(device)

    task = Task(make, ctc_loss, words_right, torch.optim.Adadelta, batch=config.batch)

    def tensors(name: str, pairs: list[tuple[Path, str]], shortest: int = 1) -> tuple[Tensor, Tensor]:
        store = None if config.limit else scratch / f"{name}.npy"
        images, texts, left_out = load_words(pairs[: config.limit], shortest=shortest, steps=STEPS, store=store)
        if config.limit and len(pairs) > config.limit:
            print(f"{name}: preset {config.preset} takes the first {config.limit} of {len(pairs)}.", file=sys.stderr)
        if left_out:
            count = f"{name}: {len(left_out)} of {len(pairs[: config.limit])} words were left out"
            print(f"{count}; the first: {left_out[0]}.", file=sys.stderr)
        return images, encode(texts, ALPHANUMERIC)

    listed = {party.name: read_mjsynth(party) for party in parties}  # all lists before the first picture
    test = {"iiit5k": tensors("iiit5k", read_iiit5k(folder / "iiit5k"), shortest=3)}
    data = {name: tensors(name, pairs) for name, pairs in listed.items()}
    for name in [name for name, (images, _) in data.items() if len(images) < 2]:
        print(f"{name} was left out: of its one word none could be kept for validation.", file=sys.stderr)
        del data[name]
    if len(data) < 2:
        raise UserError(f"{folder.name} needs at least two clients with two words or more.")

    def clients() -> list[Client]:
        return [Client(task, *data[name], name=name, seed=100 * seed + i) for i, name in enumerate(data)]

    return clients, test


@contextmanager
def _scratch(config: Config) -> Iterator[Path]:
    """A folder of this run alone where the pixels of clients are kept, about 10 kB a word; gone when the run ends."""
    folder = Path(".firsthand") / "words"
    if config.task != "folders" or config.limit:
        yield folder  # nothing is written
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=folder, ignore_cleanup_errors=True) as own:
        yield Path(own)


def _federation(config: Config, device: torch.device, seed: int, scratch: Path) -> Federation:
    if config.task == "folders":
        return _folders(config, device, seed, scratch)
    if config.task == "words":
        if config.split not in WORD_SPLITS:
            raise UserError(f"Unknown split {config.split!r}: choose one of {', '.join(WORD_SPLITS)}.")
        return partial(word_clients, config.split, seed), word_tests(seed)
    if config.task != "digits":
        raise UserError(f"Unknown task {config.task!r}: choose digits, words or folders.")
    if config.split not in DIGIT_SPLITS:
        raise UserError(f"Unknown split {config.split!r}: choose one of {', '.join(DIGIT_SPLITS)}.")
    return partial(digit_clients, config.split, seed, config.clients), {"digits": digits()[2:]}


def histories(config: Config, *, seed: int, device: torch.device, progress: bool) -> dict[str, History]:
    """Every strategy's history, each with fresh clients."""
    from tqdm import tqdm

    unknown = set(config.strategies) - set(STRATEGIES)
    if unknown:
        raise UserError(f"Unknown strategy {sorted(unknown)[0]!r}: choose one of {', '.join(STRATEGIES)}.")
    found = {}
    with _scratch(config) as scratch:
        clients, tests = _federation(config, device, seed, scratch)
        for name in tqdm(config.strategies, disable=not progress, unit="strategy"):
            found[name] = federate(
                clients(), strategy(name), rounds=config.rounds, epochs=config.epochs, tests=tests, keep=config.keep,
                slices=config.slices, warmup=config.warmup,
            )  # fmt: skip
    return found


def run(config: Config, *, seed: int = 0, device: str = "auto", progress: bool = True) -> Result:
    """Train one federation by every strategy.

    Args:
        config: one of PRESETS, or a changed copy.
        seed: of data, first weights and orders.
        device: of the task "folders"; the small ones are faster on a CPU.
        progress: show a bar over strategies.

    Returns:
        Result with metrics "<strategy>/<test>" (accuracy after the last round, in [0, 1]) and "<strategy>/worst", and
        arrays "<strategy>/<test>" (R,), "<strategy>/weights" (R, N).

    Raises:
        UserError: a seed out of range, unknown settings, or data that are missing or too few.
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise UserError(seed_refused(seed))
    begin = time.perf_counter()
    where = resolve_device(device) if config.task == "folders" else torch.device("cpu")
    metrics: dict[str, float] = {}
    arrays: dict[str, np.ndarray] = {}
    for name, found in histories(config, seed=seed, device=where, progress=progress).items():
        for test, scores in found.scores.items():
            metrics[f"{name}/{test}"] = float(scores[-1])
            arrays[f"{name}/{test}"] = scores
        metrics[f"{name}/worst"] = float(found.worst_score()[-1])
        arrays[f"{name}/weights"] = found.weights
    return Result("fedboost", config.preset, seed, metrics, arrays, time.perf_counter() - begin)
