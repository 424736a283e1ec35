"""What happens to files: cut off, bits turned, parts lost, doubled, swapped or replaced, names that lead elsewhere."""

from __future__ import annotations

import random
from pathlib import Path

NASTY = (
    b"", b"\x00", b"\xff" * 64, b"../../etc/passwd", b"/etc/passwd", b"nan", b"inf", b"-1", b"1e999", b"9" * 40,
    b"[" * 5000, b'{"a":' * 2000, "\u202e\ud7ff".encode(), b"\r\n" * 50, b",;\t" * 20, b"%s%n", b"\x89PNG\r\n\x1a\n",
)  # fmt: skip


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The same file after an accident or with ill will."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(data) + 1)
        to = min(len(data), at + rng.choice((1, 2, 8, 64, 1024)))
        match rng.randrange(7):
            case 0:
                data = data[:at]
            case 1:
                for _ in range(rng.choice((1, 8, 64))):
                    if data:
                        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            case 2:
                del data[at:to]
            case 3:
                data[at:at] = data[at:to]
            case 4:
                data[at:to] = rng.choice(NASTY)
            case 5:
                data[at:to] = rng.randbytes(to - at)
            case _:
                data[at:to] = bytes(to - at)
    return bytes(data)


def harm(folder: Path, rng: random.Random) -> Path:
    """Damage one file of a folder; returns it. Now and then it is taken away, or becomes a folder or a dead link."""
    file = rng.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    kind = rng.randrange(20)
    if kind > 2:
        file.write_bytes(damaged(file.read_bytes(), rng))
        return file
    file.unlink()
    if kind == 1:
        file.mkdir()
    elif kind == 2:
        file.symlink_to(folder / "nowhere")
    return file
