"""Runs untrusted programs on tests, each test in a fresh, limited process, and compares what comes out.

Answers are compared on this side: expected outputs never enter a candidate's process. It decides no verdict
(`grade.py`) and, in this first isolation, does not stop a program from reading files or using the network (`guest.py`).
"""

from tts.sandbox.cell import Cell, CellDied
from tts.sandbox.compare import canonical, matches
from tts.sandbox.outcome import Limits, Outcome, Status
from tts.sandbox.pool import Job, default_workers, run_programs

__all__ = [
    "Cell",
    "CellDied",
    "Job",
    "Limits",
    "Outcome",
    "Status",
    "canonical",
    "default_workers",
    "matches",
    "run_programs",
]
