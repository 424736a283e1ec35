"""Evidence: measuring, resuming, storing, damage, the hash of code, and agreement of file, code and verdicts."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace

import pytest
import torch

from firsthand.chapters import chapters
from firsthand.errors import UserError
from firsthand.kit import NotTested
from firsthand.kit.files import write_atomically
from firsthand.kit.lab import evidence, measuring, verifying
from firsthand.kit.lab.claims import Claim, Curve
from firsthand.kit.lab.verifying import differs

CALLS: list[tuple[str, int]] = []
STOP: list[int] = []  # seeds at which somebody presses Ctrl-C


def _half(seed: int):
    if seed in STOP:
        raise KeyboardInterrupt
    CALLS.append(("half", seed))
    return 0.5 + seed / 100, 0.1


def _poor(seed: int):
    raise NotTested("the teacher is below its floor")


TOY = [
    Claim("half", "Half is more than a tenth.", "ours", "value", "1", None, "at_least", 0.3, 0.0, _half),
    Claim("poor", "Nobody knows about this one.", "ours", "value", "1", None, "at_least", 0.3, 0.0, _poor),
    Claim(
        "one", "One is one, whatever the seed.", "ours", "value", "1", None, "exact", 1.0, 0.0, lambda s: (1.0, None), 1
    ),
]


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """Three toy claims in place of a chapter's, in an empty folder."""
    CALLS.clear()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evidence, "claims_of", lambda key: TOY)
    monkeypatch.setattr(evidence, "curves_of", lambda key: [Curve("line", "x", [0, 1], lambda s: [s, None])])
    return tmp_path


def test_measuring_gives_rows_with_raw_values(toy):
    content = measuring.measure("hcvi", seeds=6, progress=False)
    half, poor, one = content["claims"]
    assert half["method"] == [0.5, 0.51, 0.52, 0.53, 0.54, 0.55]
    assert half["baseline"] == [0.1] * 6
    assert half["verdict"] == "holds"
    assert half["estimate"] == pytest.approx(0.425)
    assert (poor["verdict"], poor["not_tested"]) == ("not tested", "the teacher is below its floor")
    assert (one["seeds"], one["verdict"]) == ([0], "holds")
    assert content["curves"][0]["values"][2] == [2, None]
    evidence.parse(json.dumps(content), "toy")


def test_a_stopped_run_goes_on_where_it_was(toy, monkeypatch):
    monkeypatch.setattr(evidence, "claims_of", lambda key: TOY[:1])
    STOP.append(3)
    with pytest.raises(KeyboardInterrupt):
        measuring.measure("hcvi", progress=False)
    assert [seed for _, seed in CALLS] == [0, 1, 2]
    STOP.clear()
    content = measuring.measure("hcvi", progress=False)
    assert [seed for _, seed in CALLS] == [0, 1, 2, 3, 4]
    assert content["claims"][0]["method"] == [0.5, 0.51, 0.52, 0.53, 0.54]


def test_rows_of_the_present_code_are_not_measured_again(toy, monkeypatch):
    file = toy / "hcvi.json"
    monkeypatch.setattr(evidence, "evidence_file", lambda key: file)
    monkeypatch.setattr(evidence, "load", lambda key: json.loads(file.read_text()))
    evidence.save(measuring.measure("hcvi", progress=False))
    (toy / ".firsthand" / "evidence" / "hcvi" / "seed-000.json").unlink()
    CALLS.clear()
    reworded = [replace(TOY[0], sentence="A half is more than a tenth."), *TOY[1:]]
    monkeypatch.setattr(evidence, "claims_of", lambda key: reworded)
    content = measuring.measure("hcvi", progress=False)
    assert CALLS == []
    assert content["claims"][0]["sentence"] == "A half is more than a tenth."
    stricter = [replace(TOY[0], target=0.35), *TOY[1:]]
    monkeypatch.setattr(evidence, "claims_of", lambda key: stricter)
    assert measuring.measure("hcvi", progress=False)["claims"][0]["target"] == 0.35
    assert [seed for _, seed in CALLS] == [0]  # the other cells had been kept
    evidence.parse(json.dumps(content), "toy")


def test_a_run_that_moves_names_every_kind_of_processor(toy, monkeypatch):
    monkeypatch.setattr(measuring, "processor", lambda: "one kind")
    folder = toy / ".firsthand" / "evidence" / "hcvi"
    measuring.measure_seed("hcvi", 0, ["half"], str(folder))
    monkeypatch.setattr(measuring, "processor", lambda: "another kind")
    assert measuring.measure("hcvi", progress=False)["environment"]["processor"] == "another kind, one kind"


def test_fewer_than_five_seeds_are_refused(toy):
    with pytest.raises(UserError, match="at least 5 seeds; got 4"):
        measuring.measure("hcvi", seeds=4)


def test_recomputation_notices_a_changed_value(toy):
    row = measuring.measure("hcvi", progress=False)["claims"][0]
    assert differs(TOY[0], row, 2) is None
    row["method"][2] += 0.001
    assert "stored 0.521, recomputed 0.52" in differs(TOY[0], row, 2)
    assert differs(replace(TOY[0], repeats_within=0.01), row, 2) is None
    other = {**row, "method": [0.5, 0.51, 0.52, 0.53, 0.54]}
    assert differs(TOY[0], row, 2, other) is None  # as another processor gave it
    assert "stored 0.521" in differs(TOY[0], row, 2, {**other, "method": [0.5, 0.51, 0.519, 0.53, 0.54]})


def test_a_cell_is_found_again_on_one_thread(toy):
    row = measuring.measure("hcvi", progress=False)["claims"][0]
    threads = replace(TOY[0], measure=lambda seed: (float(torch.get_num_threads()), 0.1))
    torch.set_num_threads(2)
    assert "recomputed 1.0" in differs(threads, row, 2)


def test_values_of_another_processor_are_of_the_same_code(toy, monkeypatch):
    here, file = measuring.measure("hcvi", progress=False), toy / "elsewhere.json"
    monkeypatch.setattr(evidence, "load", lambda key: here)
    monkeypatch.setattr(evidence, "elsewhere_file", lambda key: file)
    assert evidence.elsewhere("hcvi") == {}
    file.write_text(json.dumps(here))
    assert evidence.elsewhere("hcvi")["half"]["method"] == here["claims"][0]["method"]
    other = [{**row, "measured": {**row["measured"], "code": "0" * 16}} for row in here["claims"][:1]]
    file.write_text(json.dumps({**here, "claims": [*other, *here["claims"][1:]]}))
    assert list(evidence.elsewhere("hcvi")) == ["poor", "one"]  # other code gave the first row


def test_code_that_changes_no_value_is_confirmed_and_other_code_is_not(toy, monkeypatch):
    content = measuring.measure("hcvi", progress=False)
    monkeypatch.setattr(verifying, "load", lambda key: content)
    monkeypatch.setattr(verifying, "claims_of", lambda key: TOY)
    monkeypatch.setattr(verifying, "curves_of", evidence.curves_of)
    with pytest.raises(UserError, match="nothing to confirm"):
        verifying.confirm("hcvi")
    codes = evidence.current_codes("hcvi") | {"half": "0123456789abcdef", "one": "0123456789abcdef"}
    for module in (evidence, verifying):
        monkeypatch.setattr(module, "current_codes", lambda key: codes)
    assert evidence.stale_rows(content) == ["half", "one"]
    confirmed = verifying.confirm("hcvi")
    assert not evidence.is_stale(confirmed)
    entry = confirmed["confirmed"][0]
    assert (entry["rows"], entry["claims"]) == (["half", "one"], 2 if entry["seed"] == 0 else 1)
    assert [row["code"] for row in confirmed["claims"]] == list(codes.values())
    assert [row["measured"] for row in confirmed["claims"]] == [row["measured"] for row in content["claims"]]
    assert confirmed["curves"] == content["curves"]
    assert "curves" not in entry
    evidence.parse(json.dumps(confirmed), "toy")
    other = [replace(claim, measure=lambda seed: (0.5001 + seed / 100, 0.1)) for claim in TOY[:1]] + TOY[1:]
    monkeypatch.setattr(verifying, "claims_of", lambda key: other)
    monkeypatch.setattr(verifying, "differs_from_itself", lambda *_: False)
    with pytest.raises(UserError, match="other values, so measure anew: half, seed"):
        verifying.confirm("hcvi")
    near = [replace(claim, repeats_within=0.001) for claim in other]
    monkeypatch.setattr(verifying, "claims_of", lambda key: near)
    monkeypatch.setattr(verifying, "differs_from_itself", lambda *_: True)
    assert verifying.confirm("hcvi")["confirmed"]  # a time
    monkeypatch.setattr(verifying, "claims_of", lambda key: [replace(claim, repeats_within=1e-6) for claim in other])
    with pytest.raises(UserError, match="other values"):
        verifying.confirm("hcvi")
    monkeypatch.setattr(verifying, "claims_of", lambda key: other)
    monkeypatch.setattr(verifying, "processor", lambda: "another kind")
    for row in content["claims"]:
        row["measured"]["commit"] = "0" * 40
    with pytest.raises(UserError, match=r"The code of commit 0+, which measured the evidence, does not run here"):
        verifying.confirm("hcvi")
    earlier = {"method": 0.5001 + entry["seed"] / 100, "baseline": 0.1}  # rounding differs, the code's value does not
    monkeypatch.setattr(verifying, "_by_earlier_code", lambda *_: earlier)
    assert verifying.confirm("hcvi")["confirmed"]
    monkeypatch.setattr(verifying, "claims_of", lambda key: [replace(TOY[0], measure=_poor), *TOY[1:]])
    with pytest.raises(UserError, match=r"other values, so measure anew: .*the teacher is below its floor"):
        verifying.confirm("hcvi")
    monkeypatch.setattr(verifying, "_by_earlier_code", lambda *_: {"method": None, "baseline": None})
    assert verifying.confirm("hcvi")["confirmed"]  # on this processor the earlier code is below it as well
    monkeypatch.setattr(verifying, "claims_of", lambda key: [replace(TOY[0], target=0.2), *TOY[1:]])
    with pytest.raises(UserError, match="claims of hcvi have changed"):
        verifying.confirm("hcvi")


def test_a_new_curve_is_measured_when_code_is_confirmed_and_named(toy, monkeypatch):
    content = measuring.measure("hcvi", progress=False)
    curves = [Curve("line", "x", [0, 1], lambda s: [s, 9.0]), Curve("more", "x", [0, 1], lambda s: [s, 1.0])]
    for name, value in {
        "load": lambda key: content, "claims_of": lambda key: TOY, "curves_of": lambda key: curves,
    }.items():  # fmt: skip
        monkeypatch.setattr(verifying, name, value)
    monkeypatch.setattr(evidence, "curves_of", lambda key: curves)
    confirmed = verifying.confirm("hcvi")
    line, more = confirmed["curves"]
    assert line == content["curves"][0]  # not measured again
    assert (more["id"], more["values"]) == ("more", [[seed, 1.0] for seed in range(5)])
    assert confirmed["confirmed"][0]["curves"] == ["more"]
    evidence.parse(json.dumps(confirmed), "toy")


def test_a_cell_with_a_value_of_its_own_in_every_process_is_told(monkeypatch):
    cells = iter(
        [{"method": 1.0, "baseline": None}, {"method": 1.5, "baseline": None}] + 2 * [{"method": 1.0, "baseline": 2.0}]
    )
    monkeypatch.setattr(verifying, "_measured_by", lambda *_: ("code", next(cells)))
    assert verifying.differs_from_itself("hcvi", "half", 0)
    assert not verifying.differs_from_itself("hcvi", "half", 0)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text[: len(text) // 2], "it is not JSON"),
        (lambda text: text.replace("0.52", "NaN", 1), "NaN is not a number"),
        (lambda text: text.replace('"holds"', '"surely"', 1), "damaged at claims/0/verdict"),
        (lambda text: text.replace('"rule"', '"ruler"', 1), "damaged at claims/0"),
        (lambda text: "[]", "damaged at the top"),
    ],
)
def test_damaged_files_are_named(toy, damage, words):
    text = json.dumps(measuring.measure("hcvi", progress=False))
    with pytest.raises(UserError, match=words):
        evidence.parse(damage(text), "evidence/toy.json")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "a.json"
    write_atomically(file, "old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomically(file, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert file.read_text() == "old"


# ------------------------------------------------------------------- every chapter's stored evidence


@pytest.mark.parametrize("key", chapters())
def test_stored_verdicts_are_what_the_raw_values_give(key):
    content = evidence.load(key)
    for row in content["claims"]:
        found = evidence.row_verdict(row)
        assert row["verdict"] == found.name, row["id"]
        if row["estimate"] is not None:
            assert row["estimate"] == pytest.approx(found.estimate), row["id"]


@pytest.mark.parametrize("key", chapters())
def test_file_and_code_make_the_same_claims(key):
    stored = {row["id"]: row for row in evidence.load(key)["claims"]}
    claims = {claim.id: claim for claim in evidence.claims_of(key)}
    assert list(stored) == list(claims)
    for name, claim in claims.items():
        for field in ("sentence", "source", "metric", "unit", "paper", "rule", "target", "tolerance"):
            assert stored[name][field] == getattr(claim, field), (name, field)
        assert len(stored[name]["seeds"]) >= max(claim.seeds, 1)


@pytest.mark.parametrize("key", chapters())
def test_statistical_claims_have_five_seeds_and_few_are_untested(key):
    content = evidence.load(key)
    for row in content["claims"]:
        assert row["rule"] == "exact" or len(row["seeds"]) >= 5, row["id"]
    assert evidence.counts(content)["not tested"] <= len(content["claims"]) / 4


@pytest.mark.parametrize("key", chapters())
@pytest.mark.slow
def test_one_cell_drawn_by_the_commit_is_found_again(key):
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout
    content = evidence.load(key)
    cheap = [(row, seed) for row in content["claims"] if row["slowest"] <= 20 for seed in row["seeds"]]
    assert cheap, "no claim can be recomputed within 20 s"
    row, seed = cheap[int(head[:12] or "0", 16) % len(cheap)]
    claim = next(c for c in evidence.claims_of(key) if c.id == row["id"])
    assert differs(claim, row, seed, evidence.elsewhere(key).get(row["id"])) is None
