"""Chapter 01 in JupyterLab, as a reader opens it: run all cells, move its figure."""

from __future__ import annotations

import nbformat
import pytest

from firsthand.chapters import chapters, notebook_path
from tests.book.conftest import open_lab, run_all

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def lab(jupyterlab):
    """Address of a JupyterLab with a copy of the first notebook."""
    path = notebook_path(next(iter(chapters())))
    content = nbformat.read(path, as_version=4)
    for cell in content.cells:
        if cell.cell_type == "code":  # so that what is shown later was computed here
            cell.outputs, cell.execution_count = [], None
    return jupyterlab(content, path.name)


def test_a_reader_runs_all_cells_and_moves_a_figure(browser, lab):
    home, name = lab
    page, outside = open_lab(browser, home, name)
    run_all(page)
    assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']").count() == 0
    figure = page.locator("figure.fh-explore[data-ready]").first
    figure.scroll_into_view_if_needed()
    slider, panels = figure.locator("input[type=range]").first, figure.locator(".fh-panels")
    before = panels.screenshot()
    box = slider.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2)
    assert panels.screenshot() != before
    assert outside == []
    page.context.close()
