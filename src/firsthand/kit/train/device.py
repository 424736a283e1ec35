"""One resolver for the `device` argument, and the seeding of libraries that know no generator."""

from __future__ import annotations

import re

import torch

from firsthand.errors import UserError

_KNOWN = re.compile(r"auto|cpu|mps|cuda(:\d+)?")

#: Seeds go from 0 to here: scikit-learn takes no larger one, and some chapters multiply theirs before torch gets it.
LARGEST_SEED = 2**32 - 1


def seed_refused(seed: object) -> str:
    """The sentence about a seed that is not one."""
    return f"A seed is a whole number from 0 to {LARGEST_SEED}; got {seed!r}."


def check_device_name(device: str) -> str:
    """Return `device` if it is a name that `resolve_device` understands; say which names exist otherwise."""
    if not _KNOWN.fullmatch(device):
        raise UserError(f"Unknown device {device!r}: choose auto, cpu, mps, cuda or cuda:N.")
    return device


def resolve_device(device: str = "auto") -> torch.device:
    """The torch device for a name: "auto" takes CUDA, then MPS, then the CPU.

    Raises:
        UserError: an unknown name, or a device that this machine does not have.
    """
    check_device_name(device)
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise UserError(f"Device {device!r} is not here: torch sees {torch.cuda.device_count()} CUDA devices.")
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise UserError("Device 'mps' is not here: torch finds no Metal device.")
    return chosen
