"""Child processes of Python that import nothing from the folder that they are started in."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from firsthand.chapters import PACKAGE

#: Runs a module of this very package, without its parent folder on the path, where anything may lie beside it.
START = """
import importlib.util, runpy, sys
spec = importlib.util.spec_from_file_location("firsthand", sys.argv.pop(1))
sys.modules["firsthand"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["firsthand"])
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def module_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this package; give it `module_environment` too.

    Args:
        module: such as "firsthand.data.readers.mat". arguments: its own.
    """
    return [sys.executable, "-P", "-c", START, str(PACKAGE / "__init__.py"), module, *arguments]


def module_environment() -> dict[str, str]:
    """This process's environment without what leads Python's imports to the working folder.

    An empty entry of PYTHONPATH, as `PYTHONPATH=:/elsewhere` has one, means that folder, and so does a dot.
    """
    here = Path.cwd().resolve()
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    kept = [entry for entry in entries if entry and Path(entry).resolve() != here]
    others = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**others, "PYTHONPATH": os.pathsep.join(kept)} if kept else others
