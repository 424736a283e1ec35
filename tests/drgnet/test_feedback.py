"""Correction: records, a journal that survives a kill, the simulated expert, and rounds of interaction."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from firsthand.drgnet.feedback import KINDS, Correction, Expert, Journal, from_runs, simulated, summary, to_runs
from firsthand.drgnet.interaction import Update, interact, lesson_loss, lesson_of, uncertainty, update
from firsthand.drgnet.lab import live
from firsthand.drgnet.system import DRGNet, Retinas, lesion_probabilities
from firsthand.errors import UserError

SIZE = 32


def _feedback(seed: int = 0, **rest: object) -> Correction:
    rng = np.random.default_rng(seed)
    found = Correction.empty(f"picture-{seed}", 1, SIZE, **rest)
    found.positive[:] = rng.random(found.positive.shape) < 0.1
    found.negative[:] = (rng.random(found.negative.shape) < 0.1) & ~found.positive
    found.presence = {"MA": True, "SE": False}
    found.clicks = 3
    return found


def _retinas(count: int = 6, size: int = SIZE, seed: int = 0) -> Retinas:
    g = torch.Generator().manual_seed(seed)
    masks = torch.zeros(count, 4, size, size, dtype=torch.bool)
    masks[:, 2, 4:10, 4:10] = True
    images = torch.randint(0, 120, (count, 3, size, size), generator=g, dtype=torch.uint8)
    images[:, :, 4:10, 4:10] += 100
    return Retinas(images, masks, torch.ones(count, size, size, dtype=torch.bool), torch.full((count,), 2))


def _system() -> DRGNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DRGNet(width=2)


# ------------------------------------------------------------------------------------------------- records


@given(arrays(bool, (7, 7)))
def test_masks_survive_as_runs(mask: np.ndarray) -> None:
    assert np.array_equal(from_runs(to_runs(mask), 7), mask)


def test_numbers_that_json_calls_integers_become_integers() -> None:
    record = Correction.empty("one", 1, SIZE).to_record() | {"size": 32.0, "grade": 2.0}
    found = Correction.from_record(record | {"lesions": {"MA": {"positive": [1.0, 2.0]}}})
    assert (found.size, found.grade, int(found.positive.sum())) == (32, 2, 2)
    assert isinstance(found.grade, int)


def test_a_record_survives_json() -> None:
    one = _feedback(grade=3)
    again = Correction.from_record(json.loads(json.dumps(one.to_record())))
    assert np.array_equal(again.positive, one.positive)
    assert np.array_equal(again.negative, one.negative)
    assert (again.grade, again.presence, again.clicks, again.image) == (3, one.presence, 3, one.image)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grade": 7}, "grade"),
        ({"image": "../../etc"}, "image"),
        ({"image": "abc\n"}, "image"),
        ({"lesions": {"MA\n": {}}}, "lesions"),
        ({"size": 1e9}, "size"),
        ({"size": 5}, "size"),
        ({"more": 1}, "Additional properties"),
        ({"lesions": {"XX": {}}}, "lesions"),
        ({"lesions": {"MA": {"positive": [-1]}}}, "lesions/MA/positive"),
        ({"lesions": {"MA": {"positive": [0, 99_999]}}}, "MA: Runs of 99999 pixels"),
        ({"lesions": {"MA": {"positive": [0, 4], "negative": [0, 4]}}}, "lesion and not to be"),
    ],
)
def test_a_wrong_record_is_refused_in_one_sentence(change: dict, message: str) -> None:
    record = {**Correction.empty("one", 1, SIZE).to_record(), **change}
    with pytest.raises(UserError, match=message):
        Correction.from_record(record)


# ------------------------------------------------------------------------------------------------- journal


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "deep" / "journal.jsonl")
    assert journal.read() == []
    for seed in range(3):
        journal.append(_feedback(seed))
    assert [one.image for one in journal.read()] == ["picture-0", "picture-1", "picture-2"]


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_half_a_record_is_passed_over_and_the_next_one_kept(tmp_path: Path, cut: int) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(_feedback(0))
    journal.append(_feedback(1))
    whole = journal.file.read_bytes()
    second = whole.index(b"\n") + 1
    journal.file.write_bytes(whole[: second + cut])  # killed while writing
    assert [one.image for one in journal.read()] == ["picture-0"]
    journal.append(_feedback(2))
    assert [one.image for one in journal.read()] == ["picture-0", "picture-2"]


def test_a_killed_process_leaves_whole_records(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    code = (
        "import sys\n"
        "from firsthand.drgnet.feedback import Correction, Journal\n"
        "journal = Journal(sys.argv[1])\n"
        "for number in range(10**6):\n"
        "    journal.append(Correction.empty(f'picture-{number}', 1, 64))\n"
        "    print(number, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(20)]
        process.kill()
        told += [int(line) for line in process.stdout.read().split()]
    assert len(Journal(file).read()) >= len(told)


def test_a_line_that_is_no_record_is_named_and_loses_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    journal = Journal(file)
    journal.append(_feedback(0))
    with file.open("ab") as lines:
        lines.write(b'{"image": "a"}\n' + b"[" * 200_000 + b"\n\xff\n")
    journal.append(_feedback(1))
    assert [one.image for one in journal.read()] == ["picture-0", "picture-1"]
    assert [problem.split(",")[0] for problem in journal.problems] == [
        "In journal.jsonl",
        "journal.jsonl",
        "journal.jsonl",
    ]


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    journal, both = Journal(tmp_path / "journal.jsonl"), _feedback(0)
    both.negative[:] = both.positive
    with pytest.raises(UserError, match="lesion and not to be"):
        journal.append(both)
    assert not journal.file.is_file()


# ------------------------------------------------------------------------------------ the simulated expert


def _case() -> tuple[np.ndarray, np.ndarray]:
    """A model that misses a large and a small exudate and sees a haemorrhage that is none."""
    truth = np.zeros((4, SIZE, SIZE), bool)
    truth[2, 2:8, 2:8] = truth[2, 20:22, 20:22] = True
    said = np.zeros((4, SIZE, SIZE))
    said[1, 12:16, 12:16] = 0.95
    return said, truth


def test_the_largest_mistake_of_every_sort_comes_first() -> None:
    said, truth = _case()
    one = simulated("a", 1, said, truth, 2, Expert(corrections=2), np.random.default_rng(0))
    assert one.positive.sum() == 36
    assert one.negative[1].sum() == 16
    assert (one.grade, one.clicks, one.source) == (2, 2, "simulated")


def test_small_lesions_are_not_drowned_by_large_ones() -> None:
    truth = np.zeros((4, SIZE, SIZE), bool)
    truth[0, 30, 30] = True
    for corner in range(5):
        truth[1, 5 * corner : 5 * corner + 4, 2:9] = True
    one = simulated("a", 1, np.zeros(truth.shape), truth, 2, Expert(corrections=3), np.random.default_rng(0))
    assert one.positive[0].any()


def test_clean_clicks_never_contradict_the_truth() -> None:
    said, truth = _case()
    one = simulated("a", 1, said, truth, 2, Expert("clicks"), np.random.default_rng(0))
    assert one.positive.any()
    assert not (one.positive & ~truth).any()
    assert not (one.negative & truth).any()
    assert one.pixels < simulated("a", 1, said, truth, 2, Expert(), np.random.default_rng(0)).pixels


def test_flags_name_what_there_is() -> None:
    said, truth = _case()
    one = simulated("a", 1, said, truth, 2, Expert("flags"), np.random.default_rng(0))
    assert one.presence == {"MA": False, "HE": False, "EX": True, "SE": False}
    assert one.pixels == 0


@pytest.mark.parametrize("grade", [0, 2, 4])
def test_noise_is_wrong_and_as_frequent_as_asked_for(grade: int) -> None:
    said, truth = _case()
    rng = np.random.default_rng(0)
    grades, right = [], []
    for _ in range(300):
        one = simulated("a", 1, said, truth, grade, Expert(noise=0.3, corrections=1), rng)
        grades.append(one.grade != grade)
        right.append(not (one.positive & ~truth).any() and not (one.negative & truth).any())
    assert 0.22 < np.mean(grades) < 0.38
    assert 0.62 < np.mean(right) < 0.78


def test_an_unknown_expert_is_refused() -> None:
    said, truth = _case()
    with pytest.raises(ValueError, match="Unknown expert"):
        simulated("a", 1, said, truth, 2, Expert("doctor"), np.random.default_rng(0))


# --------------------------------------------------------------------------------------------------- rounds


def test_a_perfect_answer_has_little_loss_and_a_wrong_one_much() -> None:
    said, truth = _case()
    one = simulated("a", 1, said, truth, 2, Expert(), np.random.default_rng(0))
    lesson = lesson_of(torch.zeros(1, 3, SIZE, SIZE, dtype=torch.uint8), torch.from_numpy(said)[None].float(), [one])
    right = torch.where(torch.from_numpy(truth)[None], 12.0, -12.0)
    rows = torch.tensor([0])
    assert float(lesson_loss(right, lesson, rows, Update())) < 0.2
    assert float(lesson_loss(-right, lesson, rows, Update())) > 10


def test_flags_push_up_what_is_present_and_down_what_is_absent() -> None:
    one = Correction.empty("a", 1, SIZE)
    one.presence = {"EX": True, "HE": False}
    lesson = lesson_of(torch.zeros(1, 3, SIZE, SIZE, dtype=torch.uint8), torch.full((1, 4, SIZE, SIZE), 0.5), [one])
    lesson.retina[:] = True
    logits = torch.zeros(1, 4, SIZE, SIZE, requires_grad=True)
    lesson_loss(logits, lesson, torch.tensor([0]), Update()).backward()
    assert logits.grad is not None
    assert float(logits.grad[0, 2].sum()) < 0
    assert float(logits.grad[0, 1].sum()) > 0
    assert float(logits.grad[0, 0].abs().sum()) == 0


def test_a_lesion_that_is_found_satisfies_its_flag() -> None:
    one = Correction.empty("a", 1, SIZE)
    one.presence = {"EX": True}
    lesson = lesson_of(torch.zeros(1, 3, SIZE, SIZE, dtype=torch.uint8), torch.full((1, 4, SIZE, SIZE), 0.5), [one])
    lesson.retina[:] = True
    logits = torch.full((1, 4, SIZE, SIZE), -9.0)
    missed = float(lesson_loss(logits, lesson, torch.tensor([0]), Update()))
    logits[0, 2, 4:8, 4:8] = 5.0
    found = float(lesson_loss(logits, lesson, torch.tensor([0]), Update()))
    assert missed > 1
    assert found < 1e-3


def test_a_grade_alone_reaches_the_segmenter() -> None:
    system, data = _system(), _retinas()
    one = Correction.empty("a", 1, SIZE, grade=4)
    lesson = lesson_of(data.images[:1], torch.full((1, 4, SIZE, SIZE), 0.5), [one])  # undecided: nothing is kept
    before = system.segmenter.head.weight.detach().clone()
    update(system, lesson, data, Update(steps=2, replay=False, crop=16))
    assert not torch.equal(system.segmenter.head.weight, before)


def test_the_worst_part_of_the_feedback_can_be_dropped() -> None:
    said, truth = _case()
    one = simulated("a", 1, said, truth, 2, Expert(), np.random.default_rng(0))
    lesson = lesson_of(torch.zeros(1, 3, SIZE, SIZE, dtype=torch.uint8), torch.from_numpy(said)[None].float(), [one])
    logits = torch.randn(1, 4, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    whole, less = (float(lesson_loss(logits, lesson, torch.tensor([0]), Update(drop=d))) for d in (0.0, 0.3))
    assert less < whole


def test_an_update_leaves_statistics_and_lowers_the_loss() -> None:
    system, data = _system(), _retinas()
    said = lesion_probabilities(system.segmenter, data.images[:2])
    feedback = [
        simulated(f"{k}", 1, said[k].numpy(), data.masks[k].numpy(), 2, Expert(), np.random.default_rng(k))
        for k in (0, 1)
    ]
    before = {n: b.clone() for n, b in system.named_buffers()}
    losses = update(system, lesson_of(data.images[:2], said, feedback), data, Update(steps=30, lr=3e-3, crop=16))
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert all(torch.equal(b, before[n]) for n, b in system.named_buffers())


def test_rounds_choose_every_picture_once_and_count_the_effort() -> None:
    pool = _retinas(7, seed=3)
    found = interact(_system(), _retinas(), pool, Expert(), rounds=3, pictures=2, how=Update(steps=2, crop=16))
    chosen = [row for one in found for row in one.chosen]
    assert len(set(chosen)) == len(chosen) == 6
    effort = summary([f for one in found for f in one.feedback])
    assert effort["images"] == effort["grades"] == 6
    assert all(one.moved >= 0 for one in found)


def test_no_expert_means_replay_only() -> None:
    found = interact(
        _system(), _retinas(), _retinas(4, seed=3), Expert("none"), rounds=1, pictures=2, how=Update(steps=2, crop=16)
    )
    assert summary(found[0].feedback) == {"images": 2, "clicks": 0, "pixels": 0, "grades": 0}


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(ValueError, match="Unknown choice"):
        interact(_system(), _retinas(), _retinas(), Expert(), choose="best")


@given(st.integers(0, 4))
def test_uncertainty_is_highest_in_the_middle(grade: int) -> None:
    sure = torch.zeros(1, 5)
    sure[0, grade] = 1
    retina = torch.ones(1, 4, 4, dtype=torch.bool)
    pixels = torch.stack([torch.zeros(len(KINDS), 4, 4), torch.full((len(KINDS), 4, 4), 0.5)])
    found = uncertainty(pixels, torch.stack([sure[0], torch.full((5,), 0.2)]), retina.expand(2, -1, -1))
    assert float(found[1]) > float(found[0])
    mixed = uncertainty(pixels, torch.stack([torch.full((5,), 0.2), sure[0]]), retina.expand(2, -1, -1))
    assert float(mixed[0]) == float(mixed[1])  # both sorts of doubt count alike


def test_rounds_with_the_shipped_system_leave_it_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "ROUNDS", 1)
    monkeypatch.setattr(live, "UPDATE", replace(live.UPDATE, steps=1))
    before = {name: value.clone() for name, value in live.shipped_system().state_dict().items()}
    found = live.untouched(3)
    assert len(found) == 2
    assert all(0 <= value <= 1 for value in found)
    assert found[0] != found[1]  # something was learned
    assert all(torch.equal(value, before[name]) for name, value in live.shipped_system().state_dict().items())
