"""Sixty-odd small problems of our own writing, from trivial to contest-easy, shipped with the package (Apache-2.0).

For demos and tests, not for claims: they are easy on purpose, so that a model of 135M parameters solves some.
"""

from dataclasses import dataclass, field
from pathlib import Path

from tts.problems._lcb import LcbRows


@dataclass(frozen=True)
class Mini(LcbRows):
    """Options: filters as for `jsonl`."""

    path: str = field(default=str(Path(__file__).parent / "data" / "mini"), init=False)


plugin = Mini
