"""A server for the built site, a browser that may reach nothing else, and what both need."""

from __future__ import annotations

import functools
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import TimeoutError

from firsthand.doctor import find_browser

SITE = Path(__file__).parents[2] / "_build" / "html"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'"
)


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the site as a strict host would."""

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """Address of the built site."""
    if not (SITE / "index.html").is_file():
        pytest.skip("the site is not built: run `make book`")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=SITE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """Headless Chromium; without one the tests are skipped, but in CI that is a failure."""
    path = find_browser()
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium on this machine, and CI must have one")
        pytest.skip("no Chromium on this machine: install it or set FIRSTHAND_BROWSER")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Watch:
    """What a page did that it should not: requests that leave the site, and errors on the console."""

    def __init__(self, page, home: str) -> None:
        self.outside: list[str] = []
        self.errors: list[str] = []

        def route(route) -> None:
            if route.request.url.startswith((home, "data:")):
                route.continue_()
            else:
                self.outside.append(route.request.url)
                route.abort()

        page.route("**/*", route)
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def check(self) -> None:
        assert self.outside == []
        assert self.errors == []


@pytest.fixture
def watched(browser, site) -> Iterator:
    """open(path, **context options) -> (page, watch); pages are closed afterwards."""
    contexts = []

    def open_page(path: str, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        watch = Watch(page, site)
        page.goto(f"{site}/{path}", wait_until="networkidle")
        return page, watch

    yield open_page
    for context in contexts:
        context.close()


# ------------------------------------------------------------------------------------------- JupyterLab


@pytest.fixture
def jupyterlab(tmp_path) -> Iterator[Callable[[nbformat.NotebookNode, str], tuple[str, str]]]:
    """serve(notebook, name) -> (address of a JupyterLab that has it, name); nothing of the user's own settings."""
    servers = []

    def serve(content: nbformat.NotebookNode, name: str) -> tuple[str, str]:
        folder = tmp_path / "notebooks"
        folder.mkdir()
        nbformat.write(content, folder / name)
        home, server = _start(tmp_path, folder)
        servers.append(server)
        return home, name

    yield serve
    for server in servers:
        server.terminate()
        server.wait(20)


def _start(tmp_path: Path, folder: Path) -> tuple[str, subprocess.Popen]:
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
        f"--ServerApp.root_dir={folder}",
    ]  # fmt: skip
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyter", "lab", *options],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    home = f"http://127.0.0.1:{port}"
    while server.poll() is None:
        try:
            urllib.request.urlopen(f"{home}/api", timeout=60)  # noqa: S310
            break
        except OSError:
            time.sleep(0.25)
    return home, server


def open_lab(browser, home: str, name: str):
    """A page with a notebook in JupyterLab, its kernel ready, and the list of requests that left the machine."""
    page = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
    outside: list[str] = []
    page.on("request", lambda r: outside.append(r.url) if not r.url.startswith((home, "data:", "blob:")) else None)
    # On a slow start JupyterLab may ask which kernel to use: take the one it proposes.
    dialog = page.locator("dialog.jp-Dialog")
    page.add_locator_handler(dialog, lambda: dialog.locator("button.jp-mod-accept").click())
    page.goto(f"{home}/lab/tree/{name}")
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=240_000)
    return page, outside


PROMPTS = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(p => p.textContent)"


def run_all(page) -> None:
    """Run all cells and wait for the last; a click before the kernel is ready is lost, so it is repeated."""
    for _ in range(6):
        page.locator("li.lm-MenuBar-item:has-text('Run')").first.click()
        page.locator("li[data-command='runmenu:run-all']").click()
        try:
            page.wait_for_function(f"{PROMPTS}.some(p => /\\[[*\\d]/.test(p))", timeout=30_000)
            break
        except TimeoutError:
            continue
    page.wait_for_function(
        f"() => {{ const all = {PROMPTS}; return all.some(p => /\\d/.test(p)) && !all.some(p => p.includes('*')); }}",
        timeout=480_000,
    )
