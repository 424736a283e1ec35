"""Pre-training for a few steps, for torchrun: python -m torch.distributed.run … two_processes.py OUT."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from firsthand.convnextv2.experiment import PRESETS, run
from firsthand.kit.training import processes

if __name__ == "__main__":
    config = replace(PRESETS["smoke"], batch=32, passes=32 // processes(), steps=4)
    result = run(config, device="cpu", progress=False)
    import os

    if os.environ.get("RANK", "0") == "0":
        Path(sys.argv[1]).write_text(json.dumps({"losses": result.arrays["loss"].tolist(), "processes": processes()}))
