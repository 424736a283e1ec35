"""The correction desk of chapter 06 in JupyterLab: paint, submit, and see what the system learned."""

from __future__ import annotations

import nbformat
import pytest

from tests.book.conftest import open_lab, run_all

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CODE = """
import torch
from firsthand.data.drawn.fundus import fundus
from firsthand.drgnet.interaction import Update
from firsthand.drgnet.system import DRGNet, gathered
from firsthand.drgnet.page.widget import Corrector

torch.manual_seed(0)
data = gathered([fundus(seed, size=64, grade=2) for seed in range(4)])
desk = Corrector(
    DRGNet(width=2), data, data.pick([2, 3]), "journal.jsonl",
    how=Update(steps=20, lr=1e-2, batch=2, crop=32, replay=False),
)
desk
"""


def test_an_expert_paints_submits_and_sees_a_change(browser, jupyterlab, tmp_path):
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CODE)], metadata=kernel)
    page, outside = open_lab(browser, *jupyterlab(notebook, "desk.ipynb"))
    run_all(page)
    desk = page.locator(".fh-desk")
    desk.wait_for(timeout=240_000)
    page.locator("input[type=radio][data-kind=EX]").check()
    paper = page.locator("canvas.fh-paint")
    box = paper.bounding_box()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.4 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.6 * box["height"], steps=6)
    page.mouse.up()
    assert "1 strokes" in desk.inner_text()
    before = desk.locator(".fh-bar").all_inner_texts()
    page.get_by_label("Your grade").select_option("4")
    page.get_by_role("button", name="Submit and update").click()
    page.wait_for_function(
        "() => document.querySelector('.fh-desk .fh-say').textContent.includes('Learned from 1')", timeout=240_000
    )
    assert desk.locator(".fh-bar").all_inner_texts() != before  # grades and shares are other ones
    page.get_by_role("button", name="Show before").click()
    assert desk.locator(".fh-bar").all_inner_texts() == before
    lines = (tmp_path / "notebooks" / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1
    assert '"grade":4' in lines[0]
    assert '"EX":{"positive":' in lines[0]
    assert outside == []
    page.context.close()
