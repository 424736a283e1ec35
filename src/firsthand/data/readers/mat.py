"""MATLAB files, read by SciPy in a process of their own.

SciPy's reader is written in C and a damaged file can bring the whole interpreter down (found by damaging files at
random). What it finds comes back as JSON, so that nothing of the file is ever run here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from firsthand.children import module_command, module_environment
from firsthand.errors import UserError

SECONDS = 120  # that reading may take


def read_mat(file: Path, name: str, *, squeeze: bool = False) -> Any:
    """A variable of a .mat file (up to version 7) as nested lists, or lists of dictionaries for a structure.

    Args:
        file: to read. name: of the variable. squeeze: drop axes of length one.

    Raises:
        UserError: the file is damaged, has no such variable, or takes too long.
    """
    command = module_command("firsthand.data.readers.mat", str(file.resolve()), name, str(int(squeeze)))
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=True, env=module_environment())
        return json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise UserError(f"{file.name} was not read within {SECONDS} seconds.") from None
    except (subprocess.SubprocessError, ValueError, RecursionError):
        raise UserError(f"{file.name} is damaged or does not hold {name}.") from None


def _plain(value: Any) -> Any:
    """Arrays as lists, structures as dictionaries."""
    if isinstance(value, np.ndarray) and value.dtype.names:
        return [{name: _plain(row[name]) for name in value.dtype.names} for row in value.ravel()]
    if isinstance(value, np.void):
        return {name: _plain(value[name]) for name in value.dtype.names or ()}
    if isinstance(value, np.ndarray):
        return [_plain(one) for one in value] if value.ndim else _plain(value.item())
    return value.item() if isinstance(value, np.generic) else value


if __name__ == "__main__":  # the process of its own: file, variable, whether to squeeze
    from scipy.io import loadmat

    path, variable, squeezed = sys.argv[1:]
    print(json.dumps(_plain(loadmat(path, squeeze_me=squeezed == "1")[variable])))
