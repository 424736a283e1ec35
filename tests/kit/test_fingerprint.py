"""The hash of a row: blind to places and wording, sees every operator, and covers whatever runs."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from firsthand.chapters import PACKAGE, chapters
from firsthand.kit import NotTested
from firsthand.kit.lab import evidence, fingerprint

HASHES = """
import json, sys
from firsthand.kit.lab.evidence import current_codes
print(json.dumps(current_codes(sys.argv[1])))
"""


def form(code: str) -> str:
    return fingerprint._Canon("firsthand.errors", {}).text(ast.parse(code))


def test_it_is_blind_to_wording_and_refusals_and_sees_code():
    plain = 'def f(x):\n    "doc"\n    return x + 1\n'
    assert form(plain) == form("def f( x: int ) -> int:  # why\n    return x+1")
    assert form(plain) != form("def f(x):\n    return x + 2")
    assert form('g(sentence="a", t=1)') == form('g(sentence="b", t=1)') != form('g(sentence="a", t=2)')
    assert form(plain) == form('def f(x):\n    if x < 0:\n        raise ValueError("negative")\n    return x + 1')
    assert form(plain) != form('def f(x):\n    if x < 0:\n        raise NotTested("poor")\n    return x + 1')
    assert form('raise ValueError("a")') == form('raise ValueError("b")') != form('raise KeyError("b")')
    assert form(plain) != form("def f(x):\n    if (y := x):\n        raise ValueError\n    return x + 1")


def test_arguments_of_a_measure_count():
    hashes = {fingerprint.code_hash(partial(evidence.counts, arm)) for arm in ("a", "b", ("a",), 1, 1.0, None)}
    assert len(hashes) == 6


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package, to be changed."""
    place = tmp_path / "src" / "firsthand"
    shutil.copytree(PACKAGE, place, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    return place


def hashes(place: Path, key: str) -> dict[str, str]:
    """Of all rows of a chapter, by the package at a place."""
    environment = {**os.environ, "PYTHONPATH": str(place.parent)}
    command = [sys.executable, "-P", "-c", HASHES, key]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=place)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_moves_and_renamed_files_change_nothing_and_one_operator_changes_its_rows(copy: Path):
    before = evidence.current_codes("stepsqp")
    moved = copy / "stepsqp" / "deep"
    moved.mkdir()
    (moved / "__init__.py").write_text("")
    shutil.move(copy / "stepsqp" / "oracles.py", moved / "noise.py")
    for file in copy.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        new = re.sub(r"firsthand\.stepsqp\.oracles\b", "firsthand.stepsqp.deep.noise", text)
        if new != text:
            file.write_text(new, encoding="utf-8")
    assert hashes(copy, "stepsqp") == before
    noise = moved / "noise.py"
    noise.write_text(noise.read_text(encoding="utf-8") + "\nLATER = 1 + 1\n", encoding="utf-8")  # nothing reaches it
    assert hashes(copy, "stepsqp") == before
    sqp = next(copy.rglob("sqp.py"))
    text = sqp.read_text(encoding="utf-8")
    where = re.search(r"def update_tau.*?( \* )", text, re.DOTALL)
    assert where is not None
    sqp.write_text(text[: where.start(1)] + " + " + text[where.end(1) :], encoding="utf-8")
    after = hashes(copy, "stepsqp")
    assert after.keys() == before.keys()
    reach = {
        c.id for c in evidence.claims_of("stepsqp") if any(n == "update_tau" for _, n in fingerprint.reached(c.measure))
    }
    assert reach
    assert {name for name in before if after[name] != before[name]} == reach


def test_a_hash_with_other_names_is_that_of_the_renamed_code(copy: Path):
    claims = evidence.claims_of("stepsqp")
    before = evidence.current_codes("stepsqp")
    renames = {"update_tau": "next_merit", "update_tau.trial": "candidate"}
    for file in copy.rglob("*.py"):
        text = file.read_text(encoding="utf-8").replace("update_tau", "next_merit")
        if file.name == "sqp.py" and file.parent.name == "stepsqp":
            begin, end = text.index("def next_merit"), text.index("def exact_kkt")
            text = text[:begin] + text[begin:end].replace("trial", "candidate") + text[end:]
        file.write_text(text, encoding="utf-8")
    as_if = {claim.id: fingerprint.code_hash(claim.measure, renames) for claim in claims}
    assert hashes(copy, "stepsqp") == as_if
    assert {name for name in before if as_if[name] != before[name]} != set()
    only_one = {c.id: fingerprint.code_hash(c.measure, {"update_tau": "next_merit"}) for c in claims}
    assert only_one != as_if
    names = set().union(*(fingerprint.identifiers(c.measure) for c in claims))
    assert {"update_tau", "update_tau.trial", "trial"} <= names
    assert not {"next_merit", "update_tau.candidate", "exact_kkt.trial"} & names


def test_a_searchs_file_and_shipped_weights_count():
    (claim, *_) = [c for c in evidence.claims_of("dgfont") if c.id == "full-read"] or evidence.claims_of("dgfont")[10:]
    files = fingerprint._files(fingerprint.reached(claim.measure))
    assert {"dgfont_tuning.json", "glyphs.npz", "glyphs.json"} <= files.keys()

    place = ("firsthand.kit.train.weights", "shipped")
    loads = fingerprint.Definition("", frozenset(), frozenset({"dmjd_*"}))
    assert set(fingerprint._files({place: loads})) == {"dmjd_aligned.safetensors", "dmjd_released.safetensors"}
    assert fingerprint._files({("firsthand.other", "shipped"): loads}) == {}


class Enough(BaseException):
    """A row has made as many calls as are looked at."""


CALLS = 300_000  # looked at, a row


@pytest.mark.slow
@pytest.mark.parametrize("key", chapters())
def test_what_runs_is_what_is_hashed(key: str, monkeypatch):
    """Eight cheap rows are run, and every function of the package that was called is among the definitions.

    A row is left after CALLS calls, so what it calls later for the first time is not looked at. Refusals are no part
    of a hash, but they are called: here they count.
    """
    monkeypatch.setattr(fingerprint, "_REFUSALS", set())
    fingerprint._definition.cache_clear()
    seconds = {row["id"]: row["slowest"] for row in evidence.load(key)["claims"]}
    cheap = sorted(evidence.claims_of(key), key=lambda claim: seconds[claim.id])[:8]
    for claim in cheap:
        called: set[tuple[str, str]] = set()
        calls = count()

        def note(frame, event, _, called=called, calls=calls):
            if event != "call":
                return
            if next(calls) == CALLS:
                raise Enough
            code = frame.f_code
            if code.co_filename.startswith(str(PACKAGE)) and "<" not in code.co_qualname.split(".")[0]:
                file = Path(code.co_filename).relative_to(PACKAGE.parent).with_suffix("")
                called.add((".".join(file.parts).removesuffix(".__init__"), code.co_qualname.split(".")[0]))

        sys.setprofile(note)
        try:
            claim.measure(0)
        except (NotTested, Enough):
            pass
        finally:
            sys.setprofile(None)
        assert called <= fingerprint.reached(claim.measure).keys(), claim.id
    fingerprint._definition.cache_clear()
