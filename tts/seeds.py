"""Random numbers that belong to what they decide, so that raising n or resuming never repeats or shifts a draw."""

import hashlib


def seed_of(run_seed: int, *parts: object) -> int:
    """A 63-bit seed from the run's seed and the parts that name a draw, for example (problem id, index)."""
    text = "\x1f".join([str(run_seed), *map(str, parts)])
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big") >> 1
