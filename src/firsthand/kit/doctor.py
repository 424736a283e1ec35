"""`firsthand doctor`: what works on this machine, and what to do about what does not."""

from __future__ import annotations

import os
import shutil
import sys
from importlib import metadata

from firsthand.chapters import chapters, notebook_path
from firsthand.errors import UserError
from firsthand.kit import evidence, provenance

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def find_browser() -> str | None:
    """Path of a Chromium that can render and test pages; FIRSTHAND_BROWSER names another one."""
    named = os.environ.get("FIRSTHAND_BROWSER")
    return named or next(filter(None, map(shutil.which, BROWSERS)), None)


def report() -> int:
    """Print one line a check; return 1 if something that the book needs is missing, else 0."""
    import torch

    from firsthand.kit.device import resolve_device

    broken = 0

    def line(ok: bool | None, what: str, advice: str = "") -> None:
        nonlocal broken
        broken += ok is False
        mark = {True: "ok  ", False: "FAIL", None: "note"}[ok]
        print(f"{mark}  {what}" + (f"\n      {advice}" if advice and ok is not True else ""))

    version = ".".join(map(str, sys.version_info[:3]))
    line((3, 11) <= sys.version_info[:2] <= (3, 13), f"Python {version}", "Use Python 3.11, 3.12 or 3.13.")
    for name in (*provenance.LIBRARIES, "matplotlib", "jupyter-book", "jupyterlab", "papermill"):
        try:
            line(True, f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            line(False, f"{name} is missing", "Run `make book`, which installs requirements.txt.")
    device = resolve_device("auto")
    line(
        True if device.type != "cpu" else None,
        f"device {device}, {os.cpu_count()} CPU cores, torch uses {torch.get_num_threads()} threads",
        "No accelerator: smoke and book presets run on the CPU; paper presets want a GPU.",
    )
    for key in chapters():
        try:
            content = evidence.load(key)
            stale = evidence.is_stale(content)
            line(
                None if stale else True,
                f"evidence of {key}: {len(content['claims'])} claims",
                "Measured with earlier code.",
            )
            notebook_path(key)
        except UserError as error:
            line(False, str(error))
    browser = find_browser()
    line(
        None if browser is None else True,
        f"browser {browser or 'not found'}",
        "Browser tests and `make pdf` are skipped; install Chromium or set FIRSTHAND_BROWSER.",
    )
    return 1 if broken else 0
