"""Settings of the chapter's run, and their presets."""

from __future__ import annotations

from dataclasses import dataclass

from firsthand.grnn.attacks import METHODS


@dataclass(frozen=True)
class Config:
    """Settings of the experiment.

    Attributes:
        preset: name under which the result is stored.
        methods: some of attacks.METHODS.
        batches: batch sizes B.
        victims: "lenet" and "resnet18".
        repeats: independent victims and batches (the released code: 10).
        iterations: T, None = each method's usual number.
        restarts: of every attack.
        image_size: s; LeNet takes 32 only.
        data: a folder with one subfolder of images a class, or None for the faces of scikit-image.
    """

    preset: str
    methods: tuple[str, ...] = ("grnn",)
    batches: tuple[int, ...] = (1,)
    victims: tuple[str, ...] = ("lenet",)
    repeats: int = 2
    iterations: int | None = None
    restarts: int = 1
    image_size: int = 32
    data: str | None = None


PRESETS = {
    "smoke": Config("smoke", methods=METHODS, repeats=1, iterations=5),
    "book": Config("book", repeats=4, iterations=600),
    "paper": Config(
        "paper", methods=("grnn", "dlg"), batches=(1, 4, 8, 16, 32, 64, 128, 256), victims=("lenet", "resnet18"),
        repeats=10,
    ),
}  # fmt: skip
