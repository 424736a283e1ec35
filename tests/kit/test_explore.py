"""Moving figures: what is stored, what is refused, and how figures become data."""

from __future__ import annotations

import base64
import io
import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.figure import Figure
from PIL import Image

from firsthand.kit import explore, use_style
from firsthand.kit.page.drawing import Pool, describe


def data_of(explorer) -> dict:
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', explorer.html, re.S)[1])


def line(slope, kind="a"):
    use_style()
    figure, ax = plt.subplots()
    ax.plot([0, 1, 2], [0, slope, 2 * slope], label="line")
    ax.plot([0, 2], [0, 1], marker="o", linestyle="none")
    ax.set_xlim(0, 2)
    ax.set_ylim(0, 10)
    ax.set_xlabel("time, s")
    ax.legend()
    return figure, f"slope {slope} {kind}"


def test_states_are_stored_in_the_order_of_the_axes():
    data = data_of(explore(line, slope=[1, 2, 3], kind=["a", "b"], start={"slope": 2}))
    assert data["say"] == [f"slope {s} {k}" for s in (1, 2, 3) for k in "ab"]
    assert [axis["slider"] for axis in data["axes"]] == [True, False]
    assert [axis["start"] for axis in data["axes"]] == [1, 0]
    assert len(data["frames"]) == 6


def test_lines_are_data_in_thousandths_of_the_axes():
    data = data_of(explore(line, slope=[5]))
    panel = data["frames"][0]["panels"][0]
    items = [data["pool"][i["$"]] if "$" in i else i for i in panel["items"]]
    drawn = next(i for i in items if i["t"] == "line")
    assert drawn["p"] == [0, 0, 500, 500, 1000, 1000]
    assert panel["x"]["label"] == "time, s"
    assert [0, "0.0"] in [t[:2] for t in panel["x"]["ticks"]] or panel["x"]["ticks"][0][0] == 0
    assert panel["legend"][0][1] == "line"


def test_equal_things_are_stored_once():
    points = np.random.default_rng(0).random((200, 2))

    def cloud(k):
        figure, ax = plt.subplots()
        ax.scatter(points[:, 0], points[:, 1], c=["#0072b2" if i % k else "#d55e00" for i in range(200)])
        return figure

    one, many = (len(explore(cloud, k=range(2, 2 + n)).html) for n in (1, 11))
    assert (many - one) / 10 < 900  # coordinates alone take some 1600


def test_circles_bars_segments_and_text_are_data():
    figure, ax = plt.subplots()
    ax.add_collection(
        EllipseCollection([0.2], [0.2], [0], units="xy", offsets=[(0.5, 0.5)], offset_transform=ax.transData)
    )
    ax.bar([0.2], [0.4], width=0.1)
    ax.add_collection(LineCollection([[(0, 0), (1, 1)]]))
    ax.fill_between([0, 1], [0, 0], [0.1, 0.2])
    ax.add_patch(plt.Circle((0.5, 0.5), 0.25))
    ax.text(0.5, 0.9, "here")
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    pool = Pool()
    panel = describe(figure, pool)["panels"][0]
    items = [pool.items[i["$"]] if "$" in i else i for i in panel["items"]]
    assert {i["t"] for i in items} == {"ring", "area", "segments", "text"}
    assert [i["p"] for i in items if i["t"] == "ring"] == [[500, 500, 100], [500, 500, 250]] or [
        i["p"] for i in items if i["t"] == "ring"
    ] == [[500, 500, 250], [500, 500, 100]]
    plt.close(figure)


def test_logarithmic_ticks_are_plain_text():
    figure, ax = plt.subplots()
    ax.loglog([1, 1000], [1, 1000])
    texts = [t[1] for t in describe(figure, Pool())["panels"][0]["x"]["ticks"]]
    assert "10³" in texts
    plt.close(figure)


def _first_red(image):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(image.split(",")[1]))).convert("RGB"))[0, 0, 0]


def test_pictures_are_frames():
    explorer = explore(lambda k: np.full((4, 4, 3), k, dtype=np.uint8), k=[0, 255])
    data = data_of(explorer)
    images = [data["pool"][frame["image"]] for frame in data["frames"]]
    shades = [_first_red(i) for i in images]
    assert shades == [0, 255]


def test_a_figure_with_an_image_is_a_frame():
    def picture(k):
        figure, ax = plt.subplots()
        ax.imshow(np.eye(3) * k)
        return figure

    assert "image" in data_of(explore(picture, k=[1]))["frames"][0]


def test_the_static_picture_is_the_start_and_has_alt_text():
    explorer = explore(line, caption="A <line>", slope=[1, 2], start={"slope": 2})
    assert 'alt="slope 2 a"' in explorer.html
    assert "<figcaption>A &lt;line&gt;</figcaption>" in explorer.html
    assert set(explorer._repr_mimebundle_()) == {"text/html", "text/plain"}
    assert "slope (2)" in repr(explorer)


def test_script_in_data_cannot_close_its_element():
    explorer = explore(lambda k: (Figure(), "</script><script>alert(1)</script>"), k=[1])
    assert explorer.html.count("<script>alert") == 0


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({}, "one to 3 axes; got 0"),
        ({c: [1] for c in "abcd"}, "got 4"),
        ({"a": range(201)}, "give 201"),
        ({"a": []}, "give 0"),
        ({"a": [1], "start": {"a": 2}}, "not on the grid"),
        ({"a": [1], "start": {"b": 2}}, "not on the grid"),
    ],
)
def test_refusals(axes, words):
    with pytest.raises(ValueError, match=words):
        explore(lambda **state: Figure(), **axes)


def test_wrong_pictures_and_heavy_figures_are_refused():
    with pytest.raises(ValueError, match="uint8"):
        explore(lambda k: np.zeros((2, 2)), k=[1])
    noise = np.random.default_rng(0).integers(0, 255, (1200, 1200, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="MB; at most 3"):
        explore(lambda k: noise, k=[1])


def test_live_recomputes_with_widgets():
    calls = []

    def render(k):
        calls.append(k)
        return Figure(), "said"

    widget = explore(render, k=[1, 2]).live()
    widget.children[0].value = 2
    assert calls == [1, 2, 2] or calls[-1] == 2


def test_thin_lines_keep_their_colour_beside_a_photograph():
    import importlib
    import io

    from PIL import Image

    module = importlib.import_module("firsthand.kit.page.explore")
    rng = np.random.default_rng(0)
    ramp = np.linspace(60, 200, 200)
    photo = np.stack(
        [ramp[:, None] + 0 * ramp, 0.5 * ramp[None] + 0 * ramp[:, None], 0 * ramp[:, None] + 40 + 0 * ramp], 2
    )
    photo = (photo + rng.normal(0, 6, photo.shape)).clip(0, 255).astype(np.uint8)
    photo[100, 20:60], photo[120, 20:60] = (30, 120, 230), (50, 210, 160)  # a blue and a green line of one pixel
    frame = Image.open(io.BytesIO(module._frame(photo)))
    assert frame.mode == "P"
    found = np.asarray(frame.convert("RGB")).astype(int)
    assert np.abs(found[100, 30] - (30, 120, 230)).max() <= 8
    assert np.abs(found[120, 30] - (50, 210, 160)).max() <= 8
    assert np.abs(found - photo).mean() < 6
