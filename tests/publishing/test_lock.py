"""The lock names all that the book installs but for what nothing uses, and uv and pip install the same from it."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LEFT_OUT = {canonicalize_name(Requirement(line).name) for line in PROJECT["tool"]["uv"]["override-dependencies"]}
LOCKS = ("requirements.txt", "requirements-test.txt")
locked = runpy.run_path(str(ROOT / "scripts" / "licences.py"))["locked"]


def wanted(name: str, extras: frozenset[str]) -> set[tuple[str, frozenset[str]]]:
    """What an installed package with these extras asks for on this machine: names and their extras."""
    found = [Requirement(line) for line in metadata.requires(name) or []]
    return {
        (canonicalize_name(need.name), frozenset(need.extras))
        for need in found
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in {"", *extras})
    }


@pytest.mark.parametrize(("lock", "extras"), zip(LOCKS, ({"book"}, {"book", "coursework", "test"}), strict=True))
def test_the_lock_names_all_that_is_asked_for_and_nothing_left_out(lock, extras):
    names, seen, ahead = set(locked(lock)), set(), {("firsthand", frozenset(extras))}
    while ahead:
        name, asked = ahead.pop()
        seen.add((name, asked))
        assert name == "firsthand" or name in names, f"{name} is missing in {lock}: make lock"
        ahead |= {(need, more) for need, more in wanted(name, asked) if need not in LEFT_OUT} - seen
    assert len(seen) > 200
    assert not names & LEFT_OUT


def test_nothing_uses_what_the_lock_leaves_out():
    assert {"triton", "cuda-bindings"} == LEFT_OUT
    uses = re.compile(r"torch[.]compile|(?:import|from) (?:triton|cuda)\b|_inductor|CUDAGraph|FlopCounterMode")
    files = [*ROOT.glob("src/**/*.py"), *ROOT.glob("notebooks/*"), *ROOT.glob("benchmarks/*.py")]
    assert len(files) > 200
    assert [file for file in files if file.is_file() and uses.search(file.read_text(encoding="utf-8"))] == []


def test_torch_trains_without_what_the_lock_leaves_out():
    code = """
import sys
sys.modules.update(triton=None, cuda=None)  # as if they were not installed
import torch
for name, after in {"SGD": 0.5, "Adam": 0.75, "AdamW": 0.75 - 0.25 * 0.01}.items():
    weight = torch.nn.Parameter(torch.ones(()))
    optimiser = getattr(torch.optim, name)([weight], lr=0.25)  # Adam's first step is lr, AdamW also decays by lr * 0.01
    (weight**2).backward()
    optimiser.step()
    assert abs(weight.item() - after) < 1e-6, (name, weight)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


@pytest.fixture
def clone(tmp_path):
    """A folder with the Makefile, the lock and an environment, which `make` only fills."""
    for name in ("Makefile", "pyproject.toml", *LOCKS):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    return tmp_path


def make(folder: Path, *words: str, path: str = os.environ["PATH"]) -> list[str]:
    """The lines that make prints."""
    variables = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "UV")}
    command = [str(shutil.which("make")), "-C", str(folder), "--no-print-directory", *words, ".venv/.test"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**variables, "PATH": path})
    return done.stdout.splitlines()


def test_uv_and_pip_install_the_same_and_check_hashes(clone):
    by = {
        "uv": make(clone, "--dry-run", "UV=/some/uv"),
        "pip": make(clone, "--dry-run", "UV="),
    }
    own = {
        "uv": "/some/uv pip install --quiet --compile-bytecode --python .venv/bin/python ",
        "pip": ".venv/bin/python -m pip install --quiet --disable-pip-version-check ",
    }
    for way, lines in by.items():
        assert [line.removeprefix(own[way]) for line in lines] == [
            "--no-deps --require-hashes -r requirements.txt",
            "--no-deps --no-build-isolation --editable .",
            "touch .venv/.book",
            "--no-deps --require-hashes -r requirements-test.txt",
            "touch .venv/.test",
        ]


def test_uv_is_taken_where_it_is_and_pip_otherwise(clone):
    (clone / "tools").mkdir()
    assert make(clone, "--dry-run", path=str(clone / "tools"))[0].startswith(".venv/bin/python -m pip install ")
    (clone / "tools" / "uv").touch(mode=0o755)
    assert make(clone, "--dry-run", path=str(clone / "tools"))[0].startswith(f"{clone / 'tools' / 'uv'} pip install ")


def test_another_index_gives_torch_alone_and_the_rest_is_as_locked(clone):
    lines = make(clone, "INSTALL=echo", "TORCH_INDEX=https://example.org/cpu")
    versions = locked()
    torch = f"torch=={versions['torch']} torchvision=={versions['torchvision']}"
    assert lines.count(f"--no-deps --index-url https://example.org/cpu {torch}") == 2
    assert lines.count("--no-deps --require-hashes -r .venv/rest.txt") == 2
    whole, rest = ((clone / name).read_text(encoding="utf-8") for name in (LOCKS[1], ".venv/rest.txt"))
    entry = re.compile(r"^([a-z0-9][\w.-]*(?:\[\w+\])?)==(?:.*\\\n)+.*sha256:\w+\n", re.MULTILINE)
    found = [(match[1], match[0]) for match in entry.finditer(whole)]
    assert {name for name, _ in found} == set(locked(LOCKS[1]))
    gone = {name for name, _ in found if name in ("torch", "torchvision") or name.startswith(("nvidia-", "cuda-"))}
    assert {"torch", "torchvision", "cuda-toolkit", "nvidia-cudnn-cu13"} < gone
    assert [match[0] for match in entry.finditer(rest)] == [text for name, text in found if name not in gone]


def test_whoever_installs_the_lock_asks_for_nothing_beside_it():
    files = [ROOT / "Makefile", *ROOT.glob(".binder/*"), *ROOT.glob("book/*.md"), *ROOT.glob("scripts/*.py")]
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    found = [line for line in lines if re.search(r"--require-hashes\W+-r\b", line)]
    assert len(found) >= 5
    assert [line for line in found if "--no-deps" not in line] == []
    assert not (ROOT / ".binder" / "requirements.txt").exists()  # Binder installs it with its dependencies
