"""Drawing for the chapter: the weight bench, the round scrubber, and who can read what."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from firsthand.data.readers.words import PRINT, SIGN, word_images
from firsthand.fedboost.lab import by_client
from firsthand.fedboost.lab.assets import EPOCHS, KEEPS, ROUNDS, SPLITS, recorded
from firsthand.fedboost.lab.runs import LAST
from firsthand.fedboost.weights import boosting_weights
from firsthand.grnn.victims import face_batch
from firsthand.kit.lab import evidence
from firsthand.kit.page.style import FAINT, PALETTE, bare

SPLIT_WORDS = {
    "iid": "equal shares", "dirichlet": "unequal labels", "sorted": "sorted by label", "corrupted": "one random client",
}  # fmt: skip
STRATEGY_WORDS = {"fedavg": "FedAvg", "fedboosting": "FedBoosting"}
OBSERVERS = ("server", "client who looks", "client who computes", "server with a client")
PROTECTIONS = ("nothing", "encryption", "encryption and mixing", "pairwise masks")
CLIENTS = ("client 0", "client 1", "client 2")


def draw_words(seed: int = 0, columns: int = 5) -> Figure:
    """Words of both domains, a row each."""
    fig, axes = plt.subplots(2, columns, figsize=(9.0, 1.9))
    for line, domain in zip(axes, (PRINT, SIGN), strict=True):
        images, texts = word_images(columns, domain, seed=seed)
        for ax, image, text in zip(line, images, texts, strict=True):
            ax.imshow(image[0].numpy(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            ax.set_title(text, fontsize=10, pad=2)
            bare(ax)
    return fig


def draw_curves(ax: plt.Axes) -> None:
    """Word accuracy on two domains by round, from the evidence: thin lines for seeds, thick ones for their mean."""
    curves = {curve["id"]: curve for curve in evidence.load("fedboost")["curves"]}
    for colour, (name, words) in zip(PALETTE, (*STRATEGY_WORDS.items(), ("qffl", "q-FFL")), strict=False):
        values = np.array(curves[name]["values"])
        ax.plot(curves[name]["x"], values.T, color=colour, linewidth=0.6, alpha=0.5, linestyle="-")
        ax.plot(curves[name]["x"], values.mean(0), color=colour, label=words)


STRATEGIES_IN_WORDS = {
    "fedavg": "FedAvg", "fedavg-size": "FedAvg by size", "fedprox": "FedProx", "qffl": "q-FFL", "median": "median",
    "fedboosting": "FedBoosting", "clipped": "FedBoosting, clipped", "warm": "FedBoosting, warmed up",
    "softmax": "FedBoosting, a softmax",
}  # fmt: skip
WORD_SETTINGS = {
    ("domains", 1): "two libraries", ("domains", 3): "three local epochs", ("even", 1): "of one size",
    ("corrupted", 1): "and one of nonsense",
}  # fmt: skip
DIGIT_SETTINGS = {
    ("corrupted", 1): "random labels in client 0, E = 1", ("corrupted", 5): "random labels in client 0, E = 5",
    ("swapped", 5): "two labels swapped in client 0, E = 5", ("sorted", 1): "sorted by label, E = 1",
    ("sorted", 5): "sorted by label, E = 5", ("dirichlet", 1): "unequal labels, E = 1",
}  # fmt: skip


def _curves() -> dict[str, np.ndarray]:
    return {curve["id"]: np.array(curve["values"]) for curve in evidence.load("fedboost")["curves"]}


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def library_table() -> str:
    """Word accuracy by library for every federation of the evidence, as a table: means over seeds of the mean over the
    last rounds, then the worse library (chosen seed by seed) and the worst seed of it."""
    curves = _curves()
    lines = [_line(["Clients", "Strategy", "Mean", "Print", "Signs", "Worse library", "Worst seed"]), "|" + "---|" * 7]
    for (split, epochs), names in by_client.WORD_TABLE.items():
        last = max(1, LAST["words"] // epochs)
        for name in names:
            found = np.array(
                [curves[f"{split}-e{epochs}-{name}-{one}"][:, -last:].mean(1) for one in by_client.LIBRARIES]
            )
            low = found.min(0)
            values = [found.mean(), *found.mean(1), low.mean(), low.min()]
            words = [WORD_SETTINGS[split, epochs], STRATEGIES_IN_WORDS[name]]
            lines.append(_line([*words, *(f"{value:.1f}" for value in values)]))
    return "\n".join(lines)


def client_table() -> str:
    """Accuracy on test digits as each client holds them, as a table: means over seeds, then the worst client (chosen
    seed by seed) and the worst seed of it."""
    curves = _curves()
    heads = ["Digits", "Strategy", "Client 0", "Client 1", "Client 2", "Worst client", "Worst seed"]
    lines = [_line(heads), "|" + "---|" * 7]
    for (split, epochs), names in by_client.DIGIT_TABLE.items():
        for name in names:
            found = curves[f"clients-{split}-e{epochs}-{name}"]
            values = [*found.mean(0), found.min(1).mean(), found.min()]
            words = [DIGIT_SETTINGS[split, epochs], STRATEGIES_IN_WORDS[name]]
            lines.append(_line([*words, *(f"{value:.1f}" for value in values)]))
    return "\n".join(lines)


def render_weights(train_loss: float, abroad: float, floor: float) -> tuple[Figure, str]:
    """The weight bench: client 0's losses move, clients 1 and 2 keep 0.5 everywhere.

    Args:
        train_loss: of client 0.
        abroad: loss of client 0's model on the others' data.
        floor: losses are clipped here.
    """
    train = np.array([train_loss, 0.5, 0.5])
    validation = np.full((3, 3), 0.5)
    validation[0] = (train_loss, abroad, abroad)
    accuracy = (np.exp(-train), np.exp(-validation))  # what losses of a likelihood say about accuracy
    rules = {
        "FedAvg": np.full(3, 1 / 3),
        "losses (2)": boosting_weights(train, validation, floor=floor),
        "accuracies": boosting_weights(*accuracy, metric="accuracy"),
        "softmax": boosting_weights(*accuracy, metric="softmax"),
    }
    fig, ax = plt.subplots(figsize=(5.6, 3.6))
    for number, name in enumerate(CLIENTS):
        places = np.arange(len(rules)) + 0.27 * (number - 1)
        ax.bar(places, [p[number] for p in rules.values()], width=0.25, color=PALETTE[number], label=name)
    ax.set_xticks(np.arange(len(rules)), list(rules))
    ax.set_ylim(0, 1.05)
    ax.set_ylabel("weight")
    ax.legend(fontsize=9, loc="upper left")
    by_loss, by_accuracy = rules["losses (2)"][0], rules["accuracies"][0]
    words = f"With a floor of {floor:g} client 0 gets {by_loss:.2f} of the step from losses"
    return fig, f"{words}, {by_accuracy:.2f} from accuracies."


def render_round(number: int, split: str, local_epochs: int) -> tuple[Figure, str]:
    """The round scrubber: weights and accuracy up to a round, and who validates whom how well.

    Args:
        number: of the round, from 1.
        split: a value of SPLIT_WORDS.
        local_epochs: of EPOCHS.
    """
    key = next(name for name, words in SPLIT_WORDS.items() if words == split)
    stored = recorded()
    weights = stored[f"{key}/{local_epochs}/weights"].numpy()
    validation = stored[f"{key}/{local_epochs}/validation"].numpy()[number - 1]
    rounds = np.arange(1, ROUNDS + 1)
    fig, axes = plt.subplots(2, 2, figsize=(6.4, 5.4), gridspec_kw={"height_ratios": (1, 1)})
    for client, name in enumerate(CLIENTS):
        axes[0, 0].plot(rounds, weights[:, client], color=PALETTE[client], label=name)
    axes[0, 0].axvline(number, color=FAINT, linewidth=1.5, linestyle="-")
    axes[0, 0].set_ylim(0, 1)
    axes[0, 0].set_title("weight p")
    axes[0, 0].legend(fontsize=8)
    axes[0, 1].bar(np.arange(3), weights[number - 1], color=PALETTE[:3])
    axes[0, 1].set_xticks(np.arange(3), ["0", "1", "2"])
    axes[0, 1].set_ylim(0, 1)
    axes[0, 1].set_title(f"p in round {number}")
    for name, words in STRATEGY_WORDS.items():
        axes[1, 0].plot(rounds, 100 * stored[f"{key}/{local_epochs}/{name}/score"].numpy(), label=words)
    axes[1, 0].axvline(number, color=FAINT, linewidth=1.5, linestyle="-")
    axes[1, 0].set_title("accuracy (%)")
    axes[1, 0].set_xlabel("round")
    axes[1, 0].legend(fontsize=8)
    axes[1, 1].imshow(validation, cmap="viridis_r")
    for i, j in np.ndindex(3, 3):
        ink = "white" if validation[i, j] > (validation.min() + validation.max()) / 2 else "black"  # on yellow
        axes[1, 1].text(j, i, f"{validation[i, j]:.2f}", ha="center", va="center", color=ink, fontsize=9)
    axes[1, 1].set_xticks([0, 1, 2])
    axes[1, 1].set_yticks([0, 1, 2])
    axes[1, 1].set_xlabel("data of client")
    axes[1, 1].set_title("loss of model")
    gap = 100 * float(
        stored[f"{key}/{local_epochs}/fedboosting/score"][number - 1]
        - stored[f"{key}/{local_epochs}/fedavg/score"][number - 1]
    )
    return fig, f"Round {number}, {split}: FedBoosting is {gap:+.1f} points from FedAvg."


def view(observer: str, protection: str, keep: float) -> tuple[str, str]:
    """Which stored attack shows what an observer reads of one of two clients' updates, and why.

    With two clients the sum, which everybody is told, minus one's own update is the other's: no protection of single
    uploads can help against a client that computes.
    """
    looks = observer == "client who looks"
    if observer == "client who computes":
        return "keep 1", "The sum of two minus its own update is the other's; a mixture opens in the same way."
    if observer == "server with a client":
        why = {
            "nothing": "Uploads are plain.",
            "pairwise masks": "The client knows the one mask between the two and takes it off.",
        }
        return "keep 1", why.get(protection, "All clients share one key: with it the server's ciphertexts open.")
    if protection == "nothing":
        return "keep 1", "It is sent the plain update to validate." if looks else "Uploads are plain."
    if protection == "pairwise masks" or not looks:
        upload = "noise" if protection == "pairwise masks" else "a ciphertext"
        return "sum", f"One upload is {upload} to it; it reads the sum of both clients, like everybody."
    if protection == "encryption":
        return "keep 1", "It has the common key and decrypts the update that it is to validate."
    return f"keep {keep:g}", "It decrypts one mixture and tries it as it is."


def render_reader(observer: str, protection: str, keep: float) -> tuple[Figure, str]:
    """Who can read what: the face that chapter 09's attack finds in what an observer holds.

    Args:
        observer: of OBSERVERS.
        protection: of PROTECTIONS.
        keep: of KEEPS, a client's own share of its mixture.
    """
    name, why = view(observer, protection, keep)
    stored = recorded()
    fig, axes = plt.subplots(1, 3, figsize=(7.2, 2.9))
    upload = {"nothing": "keep 1", "pairwise masks": "masked"}.get(protection)
    if upload is None:
        axes[0].text(0.5, 0.5, "a number of\n4,096 bits", ha="center", va="center", transform=axes[0].transAxes)
        axes[0].set_title("upload: ciphertext")
        bare(axes[0])
    else:
        show(axes[0], stored[upload].float() / 255)
        axes[0].set_title("upload, attacked")
    show(axes[1], stored[name].float() / 255)
    dB = f"{float(stored[f'{name}/psnr']):.1f} dB"
    axes[1].set_title(f"what is read, {dB}")
    show(axes[2], face_batch(2, 0)[0][0])
    axes[2].set_title("true")
    return fig, f"{why} The attack: {dB}."


def show(ax: plt.Axes, image: Tensor) -> None:
    """An image (c, s, s) in [0, 1]."""
    ax.imshow(torch.as_tensor(image).clamp(0, 1).permute(1, 2, 0).squeeze().numpy(), cmap="gray", vmin=0, vmax=1)
    bare(ax)


__all__ = [
    "EPOCHS", "KEEPS", "OBSERVERS", "PROTECTIONS", "SPLITS", "SPLIT_WORDS", "draw_curves", "draw_words",
    "render_reader", "render_round", "render_weights",
]  # fmt: skip
