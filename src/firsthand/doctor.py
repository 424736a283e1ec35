"""`firsthand doctor`: what works on this machine, and what to do about what does not."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from itertools import chain

from firsthand.chapters import chapters, notebook_path
from firsthand.errors import UserError
from firsthand.kit.lab import evidence, provenance

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def find_browser() -> str | None:
    """Path of a Chromium that can render and test pages; FIRSTHAND_BROWSER names another one."""
    named = os.environ.get("FIRSTHAND_BROWSER")
    return named or next(filter(None, map(shutil.which, BROWSERS)), None)


Line = tuple[bool | None, str, str]  # works, does not, or is worth knowing; what; advice where it does not


def _libraries() -> Iterator[Line]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield (3, 11) <= sys.version_info[:2] <= (3, 13), f"Python {version}", "Use Python 3.11, 3.12 or 3.13."
    for name in (*provenance.LIBRARIES, "matplotlib", "jupyter-book", "jupyterlab", "papermill"):
        try:
            yield True, f"{name} {metadata.version(name)}", ""
        except metadata.PackageNotFoundError:
            yield False, f"{name} is missing", "Run `make book`, which installs requirements.txt."


def _device() -> Iterator[Line]:
    import torch

    from firsthand.kit.train.device import resolve_device

    device = resolve_device("auto")
    what = f"device {device}, {os.cpu_count()} CPU cores, torch uses {torch.get_num_threads()} threads"
    advice = "No accelerator: smoke and book presets run on the CPU; paper presets want a GPU."
    yield True if device.type != "cpu" else None, what, advice


def _chapters() -> Iterator[Line]:
    for key in chapters():
        try:
            content = evidence.load(key)
            fresh = None if evidence.is_stale(content) else True
            yield fresh, f"evidence of {key}: {len(content['claims'])} claims", "Measured with earlier code."
            notebook_path(key)
        except UserError as error:
            yield False, str(error), ""


def _browser() -> Iterator[Line]:
    browser = find_browser()
    advice = "Browser tests and `make pdf` are skipped; install Chromium or set FIRSTHAND_BROWSER."
    yield None if browser is None else True, f"browser {browser or 'not found'}", advice


def report() -> int:
    """Print one line a check; return 1 if something that the book needs is missing, else 0."""
    broken = False
    for ok, what, advice in chain(_libraries(), _device(), _chapters(), _browser()):
        broken |= ok is False
        mark = {True: "ok  ", False: "FAIL", None: "note"}[ok]
        print(f"{mark}  {what}" + (f"\n      {advice}" if advice and ok is not True else ""))
    return int(broken)
