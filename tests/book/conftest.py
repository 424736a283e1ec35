"""A server for the built site, a browser that may reach nothing else, and what both need."""

from __future__ import annotations

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from firsthand.kit.doctor import find_browser

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
