"""Runs untrusted programs on tests in limited, confined processes, and compares what comes out.

Answers are compared on this side: expected outputs never enter a candidate's process. It decides no verdict
(`grade.py`). How well programs are confined is a level, found by trying to get out (`levels.py`, docs/grading.md).
"""

from tts.sandbox.cell import Cell, CellDied
from tts.sandbox.compare import canonical, matches
from tts.sandbox.confinement import Confinement, Level
from tts.sandbox.levels import describe, examine, find_confinement, table
from tts.sandbox.outcome import AskedLevel, Isolation, Limits, Outcome, Status
from tts.sandbox.pool import Job, default_workers, run_programs
from tts.sandbox.runtime import PYTHON, RUNTIMES, Runtime, find_runtime

__all__ = [
    "PYTHON",
    "RUNTIMES",
    "AskedLevel",
    "Cell",
    "CellDied",
    "Confinement",
    "Isolation",
    "Job",
    "Level",
    "Limits",
    "Outcome",
    "Runtime",
    "Status",
    "canonical",
    "default_workers",
    "describe",
    "examine",
    "find_confinement",
    "find_runtime",
    "matches",
    "run_programs",
    "table",
]
