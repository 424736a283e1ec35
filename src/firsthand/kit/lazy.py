"""Names that a chapter passes on from its lab, imported when they are asked for.

So a chapter's `__init__` shows the method alone, and importing a method loads nothing that measures it.
"""

from __future__ import annotations

import importlib
from typing import Any


def from_lab(package: str, places: dict[str, str], name: str) -> Any:
    """The value of `name`: for a package's `__getattr__`.

    Args:
        package: of the chapter, such as "firsthand.hcvi".
        places: {module of its lab: names in it, separated by spaces}.
        name: what was asked for.
    """
    for module, names in places.items():
        if name in names.split():
            return getattr(importlib.import_module(f"{package}.lab.{module}"), name)
    raise AttributeError(f"module {package!r} has no attribute {name!r}")
