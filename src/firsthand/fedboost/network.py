"""Reading words: the CRNN of the released code, a compact one for this book, CTC, greedy decoding, word accuracy.

Images are (N, channels, height, width) of grey levels 0 to 255; outputs are log-probabilities (T, N, classes), the
blank last. Targets are (N, longest) numbers of letters, filled up with -1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def standardise(images: Tensor) -> Tensor:
    """Grey levels to [-1, 1]."""
    return (images.float() - 127.5) / 127.5


class CRNN(nn.Module):
    """The recogniser of the released code: seven convolutions, two bidirectional LSTMs, a softmax a column.

    Batch norm comes after the ReLU there. With 37 classes, 3 channels and width 1: 8,725,413 parameters, 4,096 more
    than in Keras, whose LSTM has one bias vector a direction where PyTorch's has two.

    Args:
        num_classes: letters and the blank, which is last.
        channels: of the images, whose height is 32.
        width: factor on all channel numbers.
        keras: leave the second bias of every LSTM direction at zero, untrained, as a network in Keras has only one.
    """

    def __init__(self, *, num_classes: int = 37, channels: int = 3, width: float = 1.0, keras: bool = False) -> None:
        super().__init__()
        c = [max(1, round(width * size)) for size in (64, 128, 256, 512)]
        blank = num_classes - 1

        def conv(inside: int, outside: int, side: int = 3, pad: int = 1) -> list[nn.Module]:
            return [nn.Conv2d(inside, outside, side, padding=pad), nn.ReLU()]

        self.features = nn.Sequential(
            *conv(channels, c[0]), nn.MaxPool2d(2),
            *conv(c[0], c[1]), nn.MaxPool2d(2),
            *conv(c[1], c[2]), nn.BatchNorm2d(c[2]), *conv(c[2], c[2]),
            nn.ZeroPad2d((0, 1, 0, 0)), nn.MaxPool2d(2, (2, 1)),
            *conv(c[2], c[3]), nn.BatchNorm2d(c[3]), *conv(c[3], c[3]),
            nn.ZeroPad2d((1, 1, 0, 0)), nn.MaxPool2d(2, (2, 1)),
            *conv(c[3], c[3], 2, 0), nn.BatchNorm2d(c[3]),
        )  # fmt: skip
        self.sequence = nn.LSTM(c[3], c[2], num_layers=2, bidirectional=True)
        for name, values in self.sequence.named_parameters():
            if keras and name.startswith("bias_hh"):
                nn.init.zeros_(values).requires_grad_(False)
        self.head = nn.Linear(2 * c[2], num_classes)
        self.blank = blank

    def forward(self, images: Tensor) -> Tensor:
        """(N, channels, 32, W) to (T, N, classes); T = W / 4.

        Raises:
            ValueError: images of another height.
        """
        if images.ndim != 4 or images.shape[2] != 32:
            raise ValueError(f"Images must be (N, channels, 32, W); got {tuple(images.shape)}.")
        columns = self.features(standardise(images)).squeeze(2).permute(2, 0, 1)
        return F.log_softmax(self.head(self.sequence(columns)[0]), dim=2)


class CompactCRNN(nn.Module):
    """Ours, for two slow cores: 94,395 parameters for ten digits on grey images of 24 x 72, 9 columns.

    Few columns leave CTC little room for blanks: with twice as many, training stayed for up to fifteen passes on the
    plateau where every column says blank.

    Args:
        num_classes: letters and the blank, which is last.
        height: of the images; a multiple of 8.
    """

    def __init__(self, *, num_classes: int = 11, height: int = 24) -> None:
        super().__init__()
        if height % 8:
            raise ValueError(f"The height must be a multiple of 8; got {height}.")
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(32),
            nn.Conv2d(32, 48, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(48),
        )  # fmt: skip
        self.sequence = nn.LSTM(48 * (height // 8), 48, bidirectional=True)
        self.head = nn.Linear(96, num_classes)
        self.blank = num_classes - 1

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, height, W) to (W / 8, N, classes)."""
        columns = self.features(standardise(images)).flatten(1, 2).permute(2, 0, 1)
        return F.log_softmax(self.head(self.sequence(columns)[0]), dim=2)


class DigitsMLP(nn.Module):
    """For sweeps over many federations: 64 pixels, 48 hidden, 10 digits; (N, 64) to (N, 10) log-probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, 64) to (N, 10)."""
        return F.log_softmax(self.layers(pixels), dim=1)


def ctc_loss(log_probabilities: Tensor, targets: Tensor) -> Tensor:
    """Mean over words of CTC's loss, divided by the word's length as PyTorch does.

    Args:
        log_probabilities: (T, N, classes), the blank last.
        targets: (N, longest), -1 beyond the end.
    """
    steps, count, classes = log_probabilities.shape
    lengths = (targets >= 0).sum(1)
    return F.ctc_loss(
        log_probabilities, targets.clamp_min(0), torch.full((count,), steps), lengths, blank=classes - 1,
        zero_infinity=True,
    )  # fmt: skip


def greedy_decode(log_probabilities: Tensor) -> list[list[int]]:
    """The best letter of every column, repeats merged, blanks dropped: one list of letters a word."""
    blank = log_probabilities.shape[2] - 1
    words = []
    for path in log_probabilities.argmax(2).T:
        merged = torch.unique_consecutive(path)
        words.append(merged[merged != blank].tolist())
    return words


def words_right(log_probabilities: Tensor, targets: Tensor) -> Tensor:
    """Which words are read without any mistake, (N,) bool; without Python's loop over words.

    Args:
        log_probabilities: (T, N, classes).
        targets: (N, longest).
    """
    blank = log_probabilities.shape[2] - 1
    path = log_probabilities.argmax(2).T  # (N, T)
    keep = path != blank
    keep[:, 1:] &= path[:, 1:] != path[:, :-1]
    lengths = (targets >= 0).sum(1)
    place = keep.cumsum(1) - 1
    room = max(path.shape[1], targets.shape[1])
    found = torch.full((len(path), room + 1), -1, dtype=targets.dtype, device=path.device)
    found.scatter_(1, torch.where(keep, place, room), path)  # dropped columns go into a bin behind the end
    found = found[:, :room]
    found = torch.where(torch.arange(room, device=path.device) < keep.sum(1, keepdim=True), found, -1)
    wanted = F.pad(targets, (0, room - targets.shape[1]), value=-1)
    return (found == wanted).all(1) & (keep.sum(1) == lengths)


def word_accuracy(model: nn.Module, images: Tensor, targets: Tensor, *, batch: int = 256) -> float:
    """Share of words read without any mistake."""
    return evaluate(model, images, targets, ctc_loss, words_right, batch=batch)[1]


@torch.no_grad()
def evaluate(
    model: nn.Module, x: Tensor, y: Tensor, loss: Callable[[Tensor, Tensor], Tensor],
    right: Callable[[Tensor, Tensor], Tensor], *, batch: int = 256,
) -> tuple[float, float]:  # fmt: skip
    """Mean loss and share of right answers of a model in evaluation mode."""
    was_training = model.training
    model.eval()
    total, hits, device = 0.0, 0, next(model.parameters()).device
    for begin in range(0, len(x), batch):
        part_x, part_y = (values[begin : begin + batch].to(device) for values in (x, y))
        outputs = model(part_x)
        total += float(loss(outputs, part_y)) * len(part_x)
        hits += int(right(outputs, part_y).sum())
    model.train(was_training)
    return total / len(x), hits / len(x)
