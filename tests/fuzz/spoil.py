"""Damage to files as disks, networks and attackers make it."""

import os
import random

ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "1"))
"""How many times as much as usual is tried: FUZZ_ROUNDS=50 pytest tests/fuzz"""

SEED = int(os.environ.get("FUZZ_SEED", "0"))

_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)


def spoilt(data: bytes, rng: random.Random) -> bytes:
    """`data` with one kind of damage; it may come out empty."""
    return rng.choice([_cut, _flipped, _without_a_piece, _with_a_repeat, _with_extremes, _with_zeros])(data, rng)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 5, 50])):
        changed[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(changed)


def _without_a_piece(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.randrange(1, 2000) :]


def _with_a_repeat(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    return data[: start + rng.randrange(1, 2000)] + data[start:]


def _with_extremes(data: bytes, rng: random.Random) -> bytes:
    """Lengths, counts and sizes in headers become the least or the largest numbers."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 3])):
        value = rng.choice(_EXTREMES)
        width = rng.choice([width for width in (1, 2, 4) if value < 1 << (8 * width)])
        start = rng.randrange(min(len(data), 600))
        changed[start : start + width] = value.to_bytes(width, "big" if rng.random() < 0.5 else "little")
    return bytes(changed)


def _with_zeros(data: bytes, rng: random.Random) -> bytes:
    """A hole, as a disk leaves it that lost power."""
    start = rng.randrange(len(data))
    length = min(rng.choice([16, 512, 4096]), len(data) - start)
    return data[:start] + bytes(length) + data[start + length :]
