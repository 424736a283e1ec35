"""Child processes import nothing from where they start: a file beside submissions or data is not run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from firsthand.chapters import PACKAGE
from firsthand.children import module_environment
from firsthand.coursework.sandbox import Limits, Sandbox
from firsthand.data.readers.mat import read_mat

LIBRARIES = ("base64", "code", "json", "math", "numpy", "resource", "scipy", "sitecustomize", "usercustomize")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with files named as libraries that tell when they are run."""
    for name in (*LIBRARIES, "firsthand"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'was_run')!r}, 'a').write('{name} ')\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


PATHS = {"none": None, "an empty entry": ":/elsewhere", "a dot": "/elsewhere:.", "the folder": "{}"}


@pytest.mark.parametrize("path", PATHS)
def test_a_file_beside_data_is_not_run(path: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _set(path, folder, monkeypatch)
    savemat(folder / "a.mat", {"matrix": np.eye(2)})
    assert read_mat(Path("a.mat"), "matrix") == [[1, 0], [0, 1]]
    assert not (folder / "was_run").exists()


@pytest.mark.parametrize("path", ["none", "an empty entry"])
def test_a_file_beside_submissions_is_not_run(path: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a sandbox, where the working folder is in reach."""
    _set(path, folder, monkeypatch)
    with Sandbox(Limits(), unsafe=True) as sandbox:
        source = "import base64, json, math\nassert math.pi > 3"
        assert sandbox.ask({"do": "run", "source": source, "name": "cell"}) == {"done": True}
    assert not (folder / "was_run").exists()


def _set(path: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = PATHS[path]
    if entries is None:
        monkeypatch.delenv("PYTHONPATH", raising=False)
    else:
        monkeypatch.setenv("PYTHONPATH", entries.format(folder))


def test_every_worker_starts_on_a_safe_path() -> None:
    for image in (None, "an-image"):
        sandbox = Sandbox.__new__(Sandbox)
        sandbox.limits, sandbox.container = Limits(), None if image is None else "name"
        for unsafe in (False, True):
            command, _ = sandbox._command(unsafe, image)
            assert "-P" in command


def test_other_entries_of_the_path_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{PACKAGE.parent}::.:/elsewhere:{folder}")
    assert module_environment()["PYTHONPATH"] == f"{PACKAGE.parent}:/elsewhere"
    monkeypatch.setenv("PYTHONPATH", ":")
    assert "PYTHONPATH" not in module_environment()
