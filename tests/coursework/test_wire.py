"""What passes between grader and submission: values survive, nothing else gets through."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from firsthand.coursework.wire import Made, WireError, pack, parse, unpack, write

UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


def _there_and_back(value):
    stream = io.BytesIO()
    write(stream, {"value": pack(value)})
    return unpack(parse(stream.getvalue())["value"])


@UNTIMED
@given(PLAIN)
def test_plain_values_survive(value) -> None:
    assert _there_and_back(value) == value


@UNTIMED
@given(arrays(np.float64, (2, 3)))
def test_arrays_survive_to_the_bit(value) -> None:
    assert _there_and_back(value).tobytes() == value.tobytes()


def test_large_numbers_nan_and_tensors_survive() -> None:
    assert _there_and_back(3**2000) == 3**2000
    assert math.isnan(_there_and_back(float("nan")))
    found = _there_and_back(torch.arange(6, dtype=torch.float32).view(2, 3))
    assert torch.equal(found, torch.arange(6, dtype=torch.float32).view(2, 3))
    assert _there_and_back(2 + 3j) == 2 + 3j
    assert _there_and_back(np.float32(1.5)) == 1.5


@pytest.mark.parametrize("value", [object(), lambda: 0, np.array([object()]), {1: {2: object()}}])
def test_objects_are_refused(value) -> None:
    with pytest.raises(WireError):
        pack(value)


@pytest.mark.parametrize(
    "content",
    [
        {"t": "array", "dtype": "O", "shape": [1], "data": "AAAAAAAAAAA="},
        {"t": "array", "dtype": "<f8", "shape": [99], "data": "AAAA"},
        {"t": "array", "dtype": "<f8", "shape": [-1], "data": ""},
        {"t": "who", "v": 1},
        {"t": "int", "v": "many"},
        {"v": 1},
        [1, 2],
    ],
)
def test_damaged_messages_are_refused(content) -> None:
    with pytest.raises(WireError):
        unpack(content)


@pytest.mark.parametrize("line", [b"", b"[]", b"\xff\xfe", b"{", b"[" * 100_000])
def test_lines_that_are_no_messages_are_refused(line: bytes) -> None:
    with pytest.raises(WireError):
        parse(line)


def test_deep_values_are_refused() -> None:
    deep: list = []
    for _ in range(40):
        deep = [deep]
    with pytest.raises(WireError, match="too deeply"):
        pack(deep)


def test_recipes_name_functions_of_the_book_only() -> None:
    assert isinstance(_there_and_back(Made("firsthand.kit:card", ("x",))), Made)
    with pytest.raises(WireError, match="functions of the book"):
        Made("os:getcwd").make()
