"""A PDF of every page of the built site, by Chromium: python scripts/pdf.py. Written to _build/pdf/."""

from __future__ import annotations

import functools
import http.server
import sys
import threading
from pathlib import Path

from firsthand.kit.doctor import find_browser

ROOT = Path(__file__).parents[1]
SITE, TARGET = ROOT / "_build" / "html", ROOT / "_build" / "pdf"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server that does not log."""

    def log_message(self, *_: object) -> None:
        pass


def main() -> int:
    browser_path = find_browser()
    if browser_path is None:
        print("No Chromium found: install it or set FIRSTHAND_BROWSER.", file=sys.stderr)
        return 2
    from playwright.sync_api import sync_playwright

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=SITE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pages = [f for folder in ("book", "notebooks") for f in sorted((SITE / folder).glob("*.html"))]
    TARGET.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(color_scheme="light")
        for file in pages:
            page.goto(f"http://127.0.0.1:{server.server_port}/{file.relative_to(SITE)}", wait_until="networkidle")
            page.pdf(path=TARGET / f"{file.stem}.pdf", format="A4", print_background=True, tagged=True)
            print(f"{file.stem}.pdf: {(TARGET / f'{file.stem}.pdf').stat().st_size / 1000:.0f} kB")
        browser.close()
    server.shutdown()
    server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
