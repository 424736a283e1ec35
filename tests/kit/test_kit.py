"""Small parts of the kit: devices, results, exercises, sentences, source, data readers."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
import torch

from firsthand.data.readers.tables import read_battery, read_csv, real_table
from firsthand.errors import UserError
from firsthand.kit import Result, check, resolve_device, say, show_source
from firsthand.kit.page.exercises import Feedback, Wrong, call, compare, need_function, need_number
from firsthand.kit.page.pages import rule_words
from firsthand.kit.page.tables import facts, line, table


def test_devices():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")
    for name in ("gpu", "cuda:x", ""):
        with pytest.raises(UserError, match="Unknown device"):
            resolve_device(name)
    with pytest.raises(UserError, match="is not here"):
        resolve_device("cuda:99")


def test_results_hold_no_time_and_no_nan():
    result = Result("hcvi", "smoke", 1, {"a": float("nan"), "b": 2.0}, {"m": np.array([[1.0, np.inf]])}, seconds=9.0)
    content = json.loads(result.to_json())
    assert content["metrics"] == {"a": None, "b": 2.0}
    assert content["arrays"] == {"m": [[1.0, None]]}
    assert "seconds" not in content


def test_unknown_exercises_are_refused():
    with pytest.raises(UserError, match="no exercise 99"):
        check("hcvi", 99, 1)
    with pytest.raises(UserError, match="Unknown chapter"):
        check("nothing", 1, 1)


def test_no_answer_is_not_an_error():
    for empty in (None, ...):
        feedback = check("hcvi", 1, empty)
        assert not feedback.passed
        assert "no answer" in feedback.message
        assert feedback.hint == ""


def test_feedback_shows_itself():
    assert str(Feedback(False, "Too small.", "Look up.")) == "Not yet. Too small. Hint: Look up."
    assert "**Correct.**" in Feedback(True, "Well done.")._repr_markdown_()


def test_checkers_parts():
    assert need_number("3.5") == 3.5
    for bad in ("x", [1, 2], float("nan"), float("inf")):
        with pytest.raises(Wrong):
            need_number(bad)
    assert need_function(abs, 1) is abs
    with pytest.raises(Wrong, match="must take 2 arguments"):
        need_function(lambda x: x, 2)
    with pytest.raises(Wrong, match="raised KeyError"):
        call(lambda: {}["a"])


def test_a_wrong_answer_gets_the_sentence_of_the_first_slip_that_gives_it():
    def said(answer, truth, slips, **how):
        try:
            compare(answer, truth, slips, "otherwise", **how)
        except Wrong as wrong:
            return str(wrong)
        return "right"

    slips = {"twice": 2.0, "two": 2.0, "three": 3.0}
    assert [said(v, 1.0, slips, within=0.1) for v in (1.09, 2.0, 2.95, 2.5)] == ["right", "twice", "three", "otherwise"]
    assert [said(v, 1, slips, within=0) for v in (1.0, 1 + 1e-9, 3)] == ["right", "otherwise", "three"]
    assert [said(v, 0, {}, within=1e-4) for v in (0.9e-4, 1.1e-4)] == ["right", "otherwise"]
    assert [said(v, 100.0, {}) for v in (100.009, 100.011)] == ["right", "otherwise"]
    array = np.array([1.0, 2.0])
    slips = {"shorter": array[:1], "turned": array[::-1].copy()}
    assert said(torch.tensor([1, 2]), array, slips) == "right"
    assert said(torch.tensor([2.0, 1.0]), array, slips) == "turned"
    assert said(array[:1], array, slips) == "shorter"
    assert said(array, -array, {}, same=lambda a, b: np.allclose(abs(a), abs(b))) == "right"


def test_source_is_shown_without_its_docstring():
    text = show_source(read_csv).data
    assert text.startswith("```python\ndef read_csv(")
    assert "Numbers from a comma-separated" not in text
    assert "return X, y" in text
    assert say("  a\n  b ").data == "a\n  b" or say("\n  a\n  b\n").data == "a\nb"


def test_rules_in_symbols():
    row = {"target": 0.5, "tolerance": 0.1}
    assert rule_words({**row, "rule": "at_least"}) == "≥ 0.5"
    assert rule_words({**row, "rule": "within"}) == "0.5 ± 0.1"


def test_a_table_has_named_columns_and_may_scroll_in_a_region():
    lines = [line("a", 1), line("all", "", heads=1)]
    assert lines == ["<tr><td>a</td><td>1</td></tr>", "<tr><th>all</th><td></td></tr>"]
    plain = table("kind", ("Name", "Number"), lines)
    head = "<thead><tr><th>Name</th><th>Number</th></tr></thead>"
    assert plain == f'<table class="kind">{head}<tbody>{"".join(lines)}</tbody></table>'
    region = f'<div class="wide" tabindex="0" role="region" aria-label="All of it">{plain}</div>'
    assert table("kind", ("Name", "Number"), lines, label="All of it", frame="wide") == region
    assert facts({"Size": "a < b"}) == "<dt>Size</dt><dd>a &lt; b</dd>"


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_with_and_without_header(tmp_path):
    X, y = read_csv(write(tmp_path / "a.csv", "1,2\n3,4.5\n"))
    assert X.tolist() == [[1, 2], [3, 4.5]]
    assert y is None
    X, y = read_csv(write(tmp_path / "b.csv", "u,Class,v\n1,red,2\n3,blue,4\n5,red,6\n"))
    assert X.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert y.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("a,b\n", "no rows"),
        ("1,2\n3\n", "row 2: 1 columns where the first row has 2"),
        ("a,b\n1,2\n3,x\n", "row 3, column 2: 'x' is not a finite number"),
        ("1,2\n3,nan\n", "row 2, column 2: 'nan'"),
        ("label\n1\n", "no column of numbers"),
    ],
)
def test_bad_csv_is_explained(tmp_path, text, words):
    with pytest.raises(UserError, match=words):
        read_csv(write(tmp_path / "a.csv", text))


def test_minus_one_is_noise_and_labels_are_compared_as_numbers(tmp_path):
    _, y = read_csv(write(tmp_path / "a.csv", "u,label\n0.5,7\n1.5,-1\n2.5,7.0\n3.5, 3\n4.5,-1.0\n"))
    assert y.tolist() == [1, -1, 1, 0, -1]
    _, y = read_csv(write(tmp_path / "b.csv", "u,label\n0.5,red\n1.5,-1\n2.5, blue\n3.5,red \n"))
    assert y.tolist() == [1, -1, 0, 1]


def test_y_beside_x_is_a_coordinate(tmp_path):
    X, y = read_csv(write(tmp_path / "a.csv", "x,y,class\n1,2,a\n3,4,b\n"))
    assert X.tolist() == [[1, 2], [3, 4]]
    assert y.tolist() == [0, 1]
    X, y = read_csv(write(tmp_path / "b.csv", "x,y\n1,2\n3,4\n"))
    assert X.tolist() == [[1, 2], [3, 4]]
    assert y is None
    assert read_csv(write(tmp_path / "c.csv", "x1,x2,y\n1,2,0\n3,4,1\n"))[1].tolist() == [0, 1]


INDEX = "it only numbers the rows, as pandas' index does"
HEADER = "begins with a line that only counts columns"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (",a,b\n0,1.5,2\n1,3.5,4\n", rf"a\.csv, column 1: {INDEX}"),
        (",a,b\n17,1.5,2\n4,3.5,4\n", rf"a\.csv, column 1: {INDEX}"),  # rows that were shuffled
        ("Unnamed: 0,a\n0,1.5\n1,3.5\n", rf"a\.csv, column 1: {INDEX}"),
        ("a,id\n" + "".join(f"{k / 3},{k}\n" for k in range(1, 6)), rf"a\.csv, column 2: {INDEX}"),
        ("".join(f"{k},{k / 3}\n" for k in range(5)), rf"a\.csv, column 1: {INDEX}"),
        ("0,1\n0.5,1.5\n2.5,3\n", HEADER),
        ("0,1,2,3\n5,6,7,8\n", HEADER),
        ("a,label,class\n1,2,3\n", r"2 columns of labels, 'label' and 'class'; keep one"),
        ("a,label\n1,x\n2,\n", r"a\.csv, row 3: it has no label"),
        ("a,target\n1,0.25\n2,0.5\n", "has the label 0.25; labels are whole numbers or words"),
        ("a,label\n1,-1\n2,-1\n", "labels every row -1"),
        ("1,2\n3,-1e308\n", r"holds -1e\+308; numbers up to 1e\+300"),
    ],
)
def test_what_a_table_holds_besides_its_data_is_found_out(tmp_path, text, words):
    with pytest.raises(UserError, match=words):
        read_csv(write(tmp_path / "a.csv", text))


@pytest.mark.parametrize(
    ("text", "X"),
    [
        ("0,1\n1,0\n", [[0, 1], [1, 0]]),  # points of a grid
        ("a,b\n0,1.5\n1,2.5\n", [[0, 1.5], [1, 2.5]]),
        ("time,b\n" + "".join(f"{k},{k / 2}\n" for k in range(6)), [[k, k / 2] for k in range(6)]),
        (",b\n1.5,2\n2.5,3\n", [[1.5, 2], [2.5, 3]]),
        ("id,b\n3,2\n5,3\n", [[3, 2], [5, 3]]),
    ],
)
def test_what_only_looks_like_an_index_is_kept(tmp_path, text, X):
    assert read_csv(write(tmp_path / "a.csv", text))[0].tolist() == X


def test_csv_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(UserError, match=r"Cannot read nothing\.csv"):
        read_csv(tmp_path / "nothing.csv")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match="not a text file"):
        read_csv(tmp_path / "binary.csv")


def battery(folder, points="0 0\n1 1\n", labels="1\n2\n"):
    (folder / "wut").mkdir(exist_ok=True)
    for name, text in (("x.data.gz", points), ("x.labels0.gz", labels)):
        with gzip.open(folder / "wut" / name, "wt") as file:
            file.write(text)
    return folder


def test_battery_layout(tmp_path):
    X, y = read_battery(battery(tmp_path, labels="1\n0\n"))["wut/x"]
    assert X.tolist() == [[0, 0], [1, 1]]
    assert y.tolist() == [0, -1]


def test_broken_batteries_are_explained(tmp_path):
    with pytest.raises(UserError, match="holds no"):
        read_battery(tmp_path)
    with pytest.raises(UserError, match="do not belong together"):
        read_battery(battery(tmp_path, labels="1\n"))
    with pytest.raises(UserError, match=r"x\.data\.gz is no table of numbers"):
        read_battery(battery(tmp_path, points="0 zero\n"))
    for labels, odd in (("1\n1.5\n", "1.5"), ("1\n-1\n", "-1")):
        with pytest.raises(UserError, match=rf"x\.labels0\.gz holds {odd}; labels are 1, 2, …, and 0 for noise"):
            read_battery(battery(tmp_path, labels=labels))
    with pytest.raises(UserError, match=r"x\.data\.gz holds -1e\+308; numbers up to 1e\+300"):
        read_battery(battery(tmp_path, points="0 0\n1 -1e308\n"))
    with pytest.raises(UserError, match="not finite"):
        read_battery(battery(tmp_path, points="0 nan\n1 1\n"))
    file = battery(tmp_path) / "wut" / "x.data.gz"
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(UserError, match="is damaged"):
        read_battery(tmp_path)
    (tmp_path / "wut" / "x.labels0.gz").unlink()
    with pytest.raises(UserError, match=r"no x\.labels0\.gz"):
        read_battery(tmp_path)
    with pytest.raises(UserError, match="clone"):
        read_battery(tmp_path / "none")


def test_real_tables():
    assert real_table("iris")[0].shape == (150, 4)
    with pytest.raises(UserError, match="Unknown table"):
        real_table("penguins")
