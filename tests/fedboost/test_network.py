"""The recognisers: sizes, shapes, CTC, decoding."""

from __future__ import annotations

import pytest
import torch

from firsthand.fedboost import CRNN, CompactCRNN, ctc_loss, greedy_decode, word_accuracy, words_right


def test_running_statistics():
    with torch.device("meta"):
        full = CRNN()
    assert sum(b.numel() for n, b in full.named_buffers() if "running" in n) == 2_560


@pytest.mark.parametrize(("width", "steps"), [(100, 25), (72, 18), (160, 40)])
def test_columns(width, steps):
    small = CRNN(channels=1, width=0.05)
    assert small(torch.zeros(2, 1, 32, width)).shape == (steps, 2, 37)
    assert CompactCRNN()(torch.zeros(2, 1, 24, width)).shape == (width // 8, 2, 11)
    with pytest.raises(ValueError, match="multiple of 8"):
        CompactCRNN(height=30)


def _path(letters: list[int], classes: int = 4) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(letters), classes).float().log().unsqueeze(1)


def test_decoding_merges_repeats_and_drops_blanks():
    assert greedy_decode(_path([0, 0, 3, 0, 1, 1])) == [[0, 0, 1]]
    assert greedy_decode(_path([3, 3])) == [[]]


def test_words_are_right_only_without_mistakes():
    path = torch.cat([_path([0, 0, 3, 0, 1, 1])] * 5, dim=1)
    targets = torch.tensor([[0, 0, 1, -1], [0, 0, 1, 2], [0, 1, -1, -1], [0, 0, 2, -1], [-1, -1, -1, -1]])
    assert words_right(path, targets).tolist() == [True, False, False, False, False]
    assert words_right(_path([3, 3, 3]), torch.tensor([[-1, -1]])).tolist() == [True]


def test_both_decoders_agree():
    torch.manual_seed(0)
    scores = torch.randn(18, 200, 5).log_softmax(2)
    words = greedy_decode(scores)
    longest = max(map(len, words))
    targets = torch.tensor([word + [-1] * (longest - len(word)) for word in words])
    assert words_right(scores, targets).all()
    targets[:, 0] = (targets[:, 0] + 1) % 4
    assert not words_right(scores, targets).any()


def test_the_loss_is_torchs_and_finite_for_words_that_cannot_fit():
    torch.manual_seed(0)
    scores = torch.randn(6, 2, 5).log_softmax(2)
    targets = torch.tensor([[1, 2, -1], [3, 3, 0]])
    lengths = torch.tensor([2, 3])
    peer = torch.nn.CTCLoss(blank=4)(scores, torch.tensor([1, 2, 3, 3, 0]), torch.tensor([6, 6]), lengths)
    assert ctc_loss(scores, targets) == pytest.approx(float(peer))
    assert torch.isfinite(ctc_loss(scores[:1], targets))


def test_accuracy_leaves_the_mode_alone():
    model = CompactCRNN().train()
    images = torch.zeros(3, 1, 24, 72)
    assert word_accuracy(model, images, torch.full((3, 3), 1)) <= 1
    assert model.training


def test_the_recogniser_takes_pictures_of_its_height_only():
    with pytest.raises(ValueError, match=r"\(N, channels, 32, W\); got \(1, 3, 40, 100\)"):
        CRNN(width=0.0625)(torch.zeros(1, 3, 40, 100))
