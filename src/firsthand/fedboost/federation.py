"""Rounds of federated learning in one process: clients train, strategies weight, bad updates are turned away by name.

A model's state is one float32 vector (P,): parameters and floating-point buffers, so batch norm's statistics are
averaged with the weights, as in the released code. N clients, R rounds.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from firsthand.fedboost.network import evaluate
from firsthand.fedboost.strategies import Reports, Strategy, fedavg
from firsthand.fedboost.weights import aggregate, mix, slice_weights


class ClientLost(Exception):
    """Raised where a client does not answer; the round goes on without it."""


@dataclass(frozen=True)
class Task:
    """What a federation learns.

    Attributes:
        make: a model with its initial weights.
        loss: (outputs, targets) to a scalar.
        right: (outputs, targets) to (n,) bool.
        optimizer: from parameters; it stays on the client, with its state, from round to round.
        batch: examples a step.
        clip: largest norm of a gradient, or None.
    """

    make: Callable[[], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    right: Callable[[Tensor, Tensor], Tensor]
    optimizer: Callable[..., torch.optim.Optimizer]
    batch: int = 32
    clip: float | None = None


def _floating(model: nn.Module) -> list[Tensor]:
    return [value for value in model.state_dict().values() if value.is_floating_point()]


def get_state(model: nn.Module) -> np.ndarray:
    """The model's state (P,) float32."""
    return torch.cat([value.detach().flatten().cpu() for value in _floating(model)]).numpy()


def set_state(model: nn.Module, state: np.ndarray) -> None:
    """Write a state (P,) into a model."""
    values = _floating(model)
    if state.shape != (sum(v.numel() for v in values),):
        raise ValueError(f"The state has shape {state.shape}; this model has {sum(v.numel() for v in values)} numbers.")
    parts = torch.from_numpy(np.ascontiguousarray(state, dtype=np.float32)).split([v.numel() for v in values])
    with torch.no_grad():
        for value, part in zip(values, parts, strict=True):
            value.copy_(part.view_as(value))


@dataclass(frozen=True)
class Fit:
    """What a client tells after its local epochs: update (P,), mean training loss and score, number of examples, and
    the loss of the model it was given."""

    update: np.ndarray
    train_loss: float
    train_score: float
    size: int
    start_loss: float = float("nan")


class Client:
    """One holder of data. The last tenth of it, in its own order, is kept for validation.

    Args:
        task: what is learnt.
        x, y: its examples.
        name: in sentences about it.
        seed: of the order of its batches.
        held_out: share kept for validation.

    Raises:
        ValueError: too few examples to train on some and to keep others.
    """

    def __init__(
        self, task: Task, x: Tensor, y: Tensor, *, name: str = "client", seed: int = 0, held_out: float = 0.1
    ) -> None:
        cut = len(x) - max(1, round(held_out * len(x)))
        if cut < 1 or len(x) != len(y):
            raise ValueError(
                f"{name} has {len(x)} examples and {len(y)} targets; one to train on and one to keep are needed at "
                f"least, and {held_out:g} of them are kept."
            )
        self.task, self.name, self.seed = task, name, seed
        self.x, self.y, self.x_held, self.y_held = x[:cut], y[:cut], x[cut:], y[cut:]
        self.model = task.make()
        self.optimizer = task.optimizer(self.model.parameters())
        self.rounds = 0

    def fit(self, state: np.ndarray, epochs: int, *, proximal: float = 0.0, start_loss: bool = False) -> Fit:
        """Train from a global state and tell the update, equation (1); `proximal` is FedProx's mu."""
        set_state(self.model, state)
        before = evaluate(self.model, self.x, self.y, self.task.loss, self.task.right)[0] if start_loss else np.nan
        self.model.train()
        anchor = [p.detach().clone() for p in self.model.parameters()] if proximal else []
        order = np.random.default_rng([self.seed, self.rounds])
        self.rounds += 1
        losses, hits, seen = 0.0, 0, 0
        device = next(self.model.parameters()).device  # examples may lie elsewhere, or in a file
        for _ in range(epochs):
            for rows in torch.from_numpy(order.permutation(len(self.x))).split(self.task.batch):
                x, y = self.x[rows].to(device), self.y[rows].to(device)
                outputs = self.model(x)
                loss = self.task.loss(outputs, y)
                losses, seen = losses + float(loss.detach()) * len(rows), seen + len(rows)
                hits += int(self.task.right(outputs, y).sum())
                for p, old in zip(self.model.parameters(), anchor, strict=False):
                    loss = loss + proximal / 2 * (p - old).square().sum()
                self.optimizer.zero_grad()
                loss.backward()
                if self.task.clip:
                    nn.utils.clip_grad_norm_(self.model.parameters(), self.task.clip)
                self.optimizer.step()
        update = state.astype(np.float64) - get_state(self.model)
        return Fit(update, losses / seen, hits / seen, len(self.x), before)

    def evaluate(self, state: np.ndarray) -> tuple[float, float]:
        """Loss and score of a state on what this client kept for validation."""
        set_state(self.model, state)
        return evaluate(self.model, self.x_held, self.y_held, self.task.loss, self.task.right)


def refusal(fit: Fit, size: int, *, start_loss: bool = False) -> str | None:
    """Why a report is turned away, or None; `start_loss` says whether that loss was asked for."""
    update = np.asarray(fit.update)
    if update.shape != (size,):
        return f"its update has shape {update.shape}, not ({size},)"
    if not np.issubdtype(update.dtype, np.floating):
        return f"its update is of type {update.dtype}, not of floating point"
    with np.errstate(over="ignore"):
        if not np.isfinite(update.astype(np.float32)).all():  # the model's own precision
            return "its update is not finite"
    if not np.isfinite(fit.train_loss) or fit.train_loss < 0:
        return f"its training loss is {fit.train_loss}"
    if not (0 <= fit.train_score <= 1):
        return f"its training score is {fit.train_score}"
    if fit.size < 1:
        return f"it reports {fit.size} examples"
    if start_loss and not (np.isfinite(fit.start_loss) and fit.start_loss >= 0):
        return f"its loss at the start is {fit.start_loss}"
    return None


def unsound(losses: np.ndarray, scores: np.ndarray) -> dict[int, str]:
    """Which of n clients are left out after validation, and why.

    Args:
        losses, scores: (n, n), [i, j] = model i on client j's data. A loss is finite and not negative, a score lies in
            [0, 1]. Who reports only nonsense is left out with its reports; a model that the others cannot score is.
    """
    bad = ~(np.isfinite(losses) & (losses >= 0) & (scores >= 0) & (scores <= 1))
    found = {int(j): "none of its validation results is a number in range" for j in np.flatnonzero(bad.all(0))}
    judges = [j for j in range(len(bad)) if j not in found]
    for i in judges:
        for j in judges:
            if bad[i, j] and i not in found:
                found[i] = f"its model's loss is {losses[i, j]} on somebody's data"
    return found


@dataclass
class History:
    """What happened.

    Attributes:
        weights: (R, N) of every client, nan where it was left out or the strategy has none.
        train_loss: (R, N). validation: (R, N, N), [i, j] = model i on client j's data, nan where not asked for.
        scores: {test: (R,)} of the global model.
        events: one sentence for everything that was turned away or lost.
        state: the last global state (P,).
    """

    weights: np.ndarray
    train_loss: np.ndarray
    validation: np.ndarray
    scores: dict[str, np.ndarray]
    events: list[str] = field(default_factory=list)
    state: np.ndarray = field(default_factory=lambda: np.empty(0))

    def mean_score(self) -> np.ndarray:
        """(R,) mean over tests."""
        return np.mean(list(self.scores.values()), axis=0)

    def worst_score(self) -> np.ndarray:
        """(R,) least over tests: a mean can hide a client that was given up."""
        return np.min(list(self.scores.values()), axis=0)


def shown_states(
    state: np.ndarray, fits: Sequence[Fit], *, keep: float | None = None, slices: int | None = None
) -> np.ndarray:
    """The models (n, P) that clients are given to validate: the local ones, or with `keep` their mixtures."""
    updates = np.stack([fit.update for fit in fits])
    return state - (mix(updates, keep=keep, slices=slices) if keep is not None and len(fits) > 1 else updates)


def combine_round(
    state: np.ndarray, fits: Sequence[Fit], strategy: Strategy, validation: tuple[np.ndarray, np.ndarray] | None = None,
    *, slices: int | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:  # fmt: skip
    """The server's part of a round, with FedBoosting equation (2).

    Args:
        state: global (P,).
        fits: of the n clients that answered.
        strategy: how they are weighted.
        validation: losses and scores (n, n), [i, j] = model i on client j's data, where the strategy validates.
        slices: None: real weights; S: whole slices, as encrypted numbers need.

    Returns:
        new global state, and weights (n,) or None.
    """
    updates = np.stack([fit.update for fit in fits])
    if strategy.weigh is None:
        return (state - strategy.reduce(updates)).astype(np.float32), None
    losses, scores = validation or (np.full((len(fits), len(fits)), np.nan),) * 2
    p = strategy.weigh(
        Reports(
            updates, np.array([f.size for f in fits]), np.array([f.train_loss for f in fits]),
            np.array([f.train_score for f in fits]), losses, scores, np.array([f.start_loss for f in fits]),
        )
    )  # fmt: skip
    if slices is not None:
        p = slice_weights(p, slices) / slices
    return (state - aggregate(updates, p)).astype(np.float32), p


def federate(
    clients: Sequence[Client], strategy: Strategy, *, rounds: int, epochs: int = 1,
    tests: Mapping[str, tuple[Tensor, Tensor]] | None = None, keep: float | None = None, slices: int | None = None,
    warmup: int = 0, tamper: Callable[[int, Client, Fit], Fit] | None = None,
) -> History:  # fmt: skip
    """Train together.

    Args:
        clients: all of one task.
        strategy: one of STRATEGIES.
        rounds: R. epochs: local ones a round, E.
        tests: {name: (x, y)} on which the global model is scored after every round.
        keep: None: clients validate each other's models as they are; else their mixtures.
        slices: as `combine_round`.
        warmup: rounds with equal weights before the strategy's begin.
        tamper: changes what a client sends, or raises `ClientLost`: for attacks and tests.

    Raises:
        ValueError: no client, a test without examples, or so many clients that slices round every weight to nought.
    """
    if not clients:
        raise ValueError("A federation needs at least one client.")
    if slices is not None and not 0 < len(clients) <= 2 * slices:
        raise ValueError(f"{slices} slices are too few for {len(clients)} clients: equal weights become nought.")
    if any(not len(x) for x, _ in (tests or {}).values()):
        raise ValueError("Every test needs at least one example.")
    task, tests = clients[0].task, tests or {}
    model = task.make()
    state = get_state(model)
    total = len(clients)
    history = History(
        np.full((rounds, total), np.nan), np.full((rounds, total), np.nan), np.full((rounds, total, total), np.nan),
        {name: np.zeros(rounds) for name in tests},
    )  # fmt: skip
    for number in range(rounds):
        alive, fits = [], []
        for index, client in enumerate(clients):
            try:
                fit = client.fit(state, epochs, proximal=strategy.proximal, start_loss=strategy.start_loss)
                fit = tamper(number, client, fit) if tamper else fit
            except ClientLost:
                history.events.append(f"Round {number + 1}: {client.name} did not answer and was left out.")
                continue
            reason = refusal(fit, len(state), start_loss=strategy.start_loss)
            if reason:
                history.events.append(f"Round {number + 1}: {client.name} was left out, {reason}.")
                continue
            alive.append(index)
            fits.append(fit)
        chosen, validation = fedavg() if number < warmup else strategy, None
        if fits and chosen.validates:
            shown = shown_states(state, fits, keep=keep, slices=slices)
            losses, scores = _cross([clients[index] for index in alive], shown)
            history.validation[number][np.ix_(alive, alive)] = losses
            out = unsound(losses, scores)
            for index, reason in out.items():
                history.events.append(f"Round {number + 1}: {clients[alive[index]].name} was left out, {reason}.")
            kept = [i for i in range(len(alive)) if i not in out]
            alive, fits = [alive[i] for i in kept], [fits[i] for i in kept]
            validation = losses[np.ix_(kept, kept)], scores[np.ix_(kept, kept)]
        if fits:
            state, p = combine_round(state, fits, chosen, validation, slices=slices)
            history.weights[number, alive] = p if p is not None else np.nan
            history.train_loss[number, alive] = [fit.train_loss for fit in fits]
        set_state(model, state)
        for name, (x, y) in tests.items():
            history.scores[name][number] = evaluate(model, x, y, task.loss, task.right)[1]
    history.state = state
    return history


def _cross(clients: Sequence[Client], states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Losses and scores (n, n) of every state on every client's validation data."""
    pairs = [[client.evaluate(state) for client in clients] for state in states]
    return np.array([[a for a, _ in row] for row in pairs]), np.array([[b for _, b in row] for row in pairs])


def train_alone(
    task: Task, x: Tensor, y: Tensor, *, epochs: int, tests: Mapping[str, tuple[Tensor, Tensor]], seed: int = 0
) -> dict[str, np.ndarray]:
    """One model on one set of examples, scored after every epoch: {test: (epochs,)}. Central or local-only training."""
    client = Client(task, x, y, seed=seed)
    state = get_state(client.model)
    scores: dict[str, np.ndarray] = {name: np.zeros(epochs) for name in tests}
    for epoch in range(epochs):
        state = (state - client.fit(state, 1).update).astype(np.float32)
        judge = copy.deepcopy(client.model)
        set_state(judge, state)
        for name, (a, b) in tests.items():
            scores[name][epoch] = evaluate(judge, a, b, task.loss, task.right)[1]
    return scores
