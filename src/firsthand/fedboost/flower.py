"""The same rounds with Flower: `FlowerStrategy` for a server, `client_app` for clients, `LocalGrid` between them.

Flower (flwr) moves messages; what is computed is this chapter's `combine_round` and `Client`. Arrays travel in
NumPy's plain format, which runs no code when it is read; they are not encrypted here.
`firsthand.fedboost.lab.processes` runs the parties as processes of their own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")  # before flwr is imported: nothing is reported to anybody
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MessageType, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result
from flwr.serverapp.strategy import Strategy as FlowerBase

from firsthand.fedboost.federation import Client, Fit, combine_round, refusal, shown_states, unsound
from firsthand.fedboost.strategies import Strategy, fedavg


def to_record(array: np.ndarray) -> ArrayRecord:
    """One array as a record."""
    return ArrayRecord({"array": Array(np.ascontiguousarray(array))})


def from_record(record: Any) -> np.ndarray:
    """The array of a record."""
    return record["array"].numpy()


class FlowerStrategy(FlowerBase):
    """A strategy of this chapter on Flower's side.

    The weights need two exchanges a round: clients train, then validate each other's models. Flower's two phases carry
    them, and the new global model is made after the second.

    Args:
        strategy: one of STRATEGIES.
        epochs, keep, slices, warmup: as `federate`.
        clients: how many to wait for before the first round.
        patience: seconds to wait for them.
    """

    def __init__(
        self, strategy: Strategy, *, epochs: int = 1, keep: float | None = None, slices: int | None = None,
        warmup: int = 0, clients: int = 2, patience: float = 60.0,
    ) -> None:  # fmt: skip
        self.strategy, self.epochs, self.keep, self.slices, self.warmup = strategy, epochs, keep, slices, warmup
        self.clients, self.patience = clients, patience
        self.state = np.empty(0, dtype=np.float32)
        self.events: list[str] = []
        self.weights: dict[int, dict[int, float]] = {}  # round: weight of every client that counted in it
        self.after_round: Callable[[int], None] = lambda server_round: None  # called with every new global state
        self._fits: dict[int, tuple[int, Fit]] = {}  # node: (client's number, its fit)
        self._names: dict[int, int] = {}  # node: client's number, known once it has answered

    def start(self, grid: Grid, initial_arrays: ArrayRecord, *rest: Any, **options: Any) -> Result:
        """Run all rounds; the result holds the last global state."""
        self.state = from_record(initial_arrays)
        result = super().start(grid, initial_arrays, *rest, **options)
        result.arrays = to_record(self.state)
        return result

    def summary(self) -> None:
        """Flower calls this before the first round; there is nothing to add to its log."""

    def _chosen(self, server_round: int) -> Strategy:
        return fedavg() if server_round <= self.warmup else self.strategy

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """The global state to everybody who is there."""
        deadline = time.monotonic() + self.patience
        while server_round == 1 and len(list(grid.get_node_ids())) < self.clients and time.monotonic() < deadline:
            time.sleep(0.2)
        options = ConfigRecord(
            {"round": server_round, "epochs": self.epochs, "proximal": self.strategy.proximal,
             "start-loss": self.strategy.start_loss}
        )  # fmt: skip
        content = RecordDict({"state": to_record(self.state), "config": options})
        self._asked = sorted(grid.get_node_ids())
        return [Message(content, node, MessageType.TRAIN) for node in self._asked]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Keep what is sound; who does not answer or sends nonsense is named in `events`."""
        self._fits, answered = {}, set()
        for message in replies:
            if message.has_error():
                continue
            node = message.metadata.src_node_id
            answered.add(node)
            try:
                name, fit = _fit_of(message)
            except (KeyError, TypeError, ValueError) as error:
                self._leave_out(server_round, node, f"its message is damaged ({type(error).__name__})")
                continue
            self._names[node] = name
            reason = refusal(fit, len(self.state), start_loss=self.strategy.start_loss)
            if reason:
                self._leave_out(server_round, node, reason)
            else:
                self._fits[node] = name, fit
        for node in self._asked:
            if node not in answered:
                self.events.append(f"Round {server_round}: {self._called(node)} did not answer and was left out.")
        if self._fits and not self._chosen(server_round).validates:
            self._combine(server_round, sorted(self._fits, key=lambda node: self._fits[node][0]), None)
        return None, None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """All shown models to all clients of this round, where the strategy validates."""
        self._order = sorted(self._fits, key=lambda node: self._fits[node][0])
        if not self._order or not self._chosen(server_round).validates:
            return []
        fits = [self._fits[node][1] for node in self._order]
        shown = shown_states(self.state, fits, keep=self.keep, slices=self.slices).astype(np.float32)
        content = RecordDict({"states": to_record(shown)})
        return [Message(content, node, MessageType.EVALUATE) for node in self._order]

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Weights from the validations, then the new global state. A client lost in between is left out wholly."""
        if not self._chosen(server_round).validates:
            return None
        columns: dict[int, np.ndarray] = {}
        for message in replies:
            if message.has_error() or "validation" not in message.content:
                continue
            found = from_record(message.content["validation"])
            if found.shape == (len(self._order), 2) and np.issubdtype(found.dtype, np.floating):
                columns[message.metadata.src_node_id] = found
        kept = [node for node in self._order if node in columns]
        for node in self._order:
            if node not in columns:
                self.events.append(f"Round {server_round}: {self._called(node)} did not validate and was left out.")
        if not kept:
            return None
        rows = [self._order.index(node) for node in kept]
        table = np.stack([columns[node][rows] for node in kept], axis=1)  # (models, clients, loss and score)
        out = unsound(table[..., 0], table[..., 1])
        for index, reason in out.items():
            self._leave_out(server_round, kept[index], reason)
        sound = [index for index in range(len(kept)) if index not in out]
        if sound:
            table = table[np.ix_(sound, sound)]
            self._combine(server_round, [kept[index] for index in sound], (table[..., 0], table[..., 1]))
        return None

    def _called(self, node: int) -> str:
        return f"client {self._names[node]}" if node in self._names else f"an unknown client (node {node})"

    def _leave_out(self, server_round: int, node: int, reason: str) -> None:
        self.events.append(f"Round {server_round}: {self._called(node)} was left out, {reason}.")

    def _combine(self, server_round: int, nodes: Sequence[int], validation: Any) -> None:
        fits = [self._fits[node][1] for node in nodes]
        self.state, p = combine_round(self.state, fits, self._chosen(server_round), validation, slices=self.slices)
        names = [self._fits[node][0] for node in nodes]
        self.weights[server_round] = dict(zip(names, map(float, p), strict=True)) if p is not None else {}
        self.after_round(server_round)


def _fit_of(message: Message) -> tuple[int, Fit]:
    """A client's number and its report; KeyError, TypeError or ValueError where the message lacks something."""
    numbers: Any = message.content["metrics"]
    loss, score, start = (float(numbers[name]) for name in ("train-loss", "train-score", "start-loss"))
    return int(numbers["client"]), Fit(from_record(message.content["update"]), loss, score, int(numbers["size"]), start)


def client_app(make_client: Callable[[Context], tuple[int, Client]]) -> ClientApp:
    """Flower's side of a client.

    Args:
        make_client: from Flower's context, whose `node_config` tells which client this is, to its number and `Client`.
            Separate processes are started anew for every message, so an optimiser with a state begins afresh there.
    """
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        number, client = make_client(context)
        config: Any = message.content["config"]
        client.rounds = int(config["round"]) - 1
        fit = client.fit(
            from_record(message.content["state"]), int(config["epochs"]), proximal=float(config["proximal"]),
            start_loss=bool(config["start-loss"]),
        )  # fmt: skip
        metrics = MetricRecord(
            {"client": number, "train-loss": fit.train_loss, "train-score": fit.train_score, "size": fit.size,
             "start-loss": fit.start_loss}
        )  # fmt: skip
        return Message(RecordDict({"update": to_record(fit.update), "metrics": metrics}), reply_to=message)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        _, client = make_client(context)
        pairs = np.array([client.evaluate(state) for state in from_record(message.content["states"])])
        return Message(RecordDict({"validation": to_record(pairs)}), reply_to=message)

    return app


class LocalGrid(Grid):
    """Flower's grid without a network: messages are handed to the client app in this process.

    Args:
        app: of the clients.
        clients: node i + 1 is client i; the context's `node_config` says {"client": i}.
    """

    def __init__(self, app: ClientApp, clients: int) -> None:
        from flwr.supercore.task_identity import TaskIdentity

        # Flower 1.4x stamps messages with the running task, which only its own runtime sets.
        TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
        self.app = app
        self.contexts = {node + 1: Context(1, node + 1, {"client": node}, RecordDict(), {}) for node in range(clients)}
        self._replies: dict[str, Message] = {}

    @property
    def run(self) -> Any:
        """There is no run."""
        return None

    def set_run(self, run: Any) -> None:
        """There is no run."""

    def get_node_ids(self) -> Iterable[int]:
        """1 to the number of clients."""
        return list(self.contexts)

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """A message to a node."""
        return Message(content, dst_node_id, message_type, group_id=group_id, ttl=ttl)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Run the client app on every message; one that raises answers with an error."""
        names = []
        for message in messages:
            name = f"{len(self._replies) + 1}"
            message.metadata.__dict__["_message_id"] = name  # the SuperLink's task elsewhere
            try:
                self._replies[name] = self.app(message, self.contexts[message.metadata.dst_node_id])
            except Exception as error:  # a client that dies must not take the round with it
                self._replies[name] = Message(Error(0, f"{type(error).__name__}: {error}"), reply_to=message)
            names.append(name)
        return names

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The replies."""
        return [self._replies[name] for name in message_ids]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Push and pull."""
        return self.pull_messages(self.push_messages(messages))
