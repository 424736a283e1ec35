"""Chapter 01 in JupyterLab, as a reader opens it: run all cells, move its figure."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import TimeoutError

from firsthand.chapters import chapters, notebook_path

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def lab(tmp_path):
    """Address of a JupyterLab with a copy of the first notebook, and nothing of the user's own settings."""
    key = next(iter(chapters()))
    notebook = tmp_path / "notebooks" / notebook_path(key).name
    notebook.parent.mkdir()
    content = nbformat.read(notebook_path(key), as_version=4)
    for cell in content.cells:
        if cell.cell_type == "code":  # so that what is shown later was computed here
            cell.outputs, cell.execution_count = [], None
    nbformat.write(content, notebook)
    settings = tmp_path / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    (settings / "tracker.jupyterlab-settings").write_text(json.dumps({"windowingMode": "none"}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
        "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces"),
    }
    options = [
        "--no-browser", "--allow-root", f"--port={port}", "--ServerApp.token=", "--ServerApp.password=",
        "--ServerApp.port_retries=0", "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
        f"--ServerApp.root_dir={notebook.parent}",
    ]  # fmt: skip
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyter", "lab", *options],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    home = f"http://127.0.0.1:{port}"
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{home}/api", timeout=1)  # noqa: S310
            break
        except OSError:
            time.sleep(0.25)
    yield home, Path(notebook).name
    server.terminate()
    server.wait(20)


PROMPTS = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(p => p.textContent)"


def run_all(page) -> None:
    """Run all cells and wait for the last; a click before the kernel is ready is lost, so it is repeated."""
    for _ in range(6):
        page.locator("li.lm-MenuBar-item:has-text('Run')").first.click()
        page.locator("li[data-command='runmenu:run-all']").click()
        try:
            page.wait_for_function(f"{PROMPTS}.some(p => /\\[[*\\d]/.test(p))", timeout=10_000)
            break
        except TimeoutError:
            continue
    page.wait_for_function(
        f"() => {{ const all = {PROMPTS}; return all.some(p => /\\d/.test(p)) && !all.some(p => p.includes('*')); }}",
        timeout=480_000,
    )


def test_a_reader_runs_all_cells_and_moves_a_figure(browser, lab):
    home, name = lab
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    outside: list[str] = []
    page.on("request", lambda r: outside.append(r.url) if not r.url.startswith((home, "data:", "blob:")) else None)
    # On a slow start JupyterLab may ask which kernel to use: take the one it proposes.
    dialog = page.locator("dialog.jp-Dialog")
    page.add_locator_handler(dialog, lambda: dialog.locator("button.jp-mod-accept").click())
    page.goto(f"{home}/lab/tree/{name}")
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=60_000)
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
    context.close()
