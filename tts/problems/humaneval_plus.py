"""HumanEval+ (EvalPlus, arXiv 2305.01210): HumanEval's 164 functions with about 80 times as many inputs.

Rows of EvalPlus's `HumanEvalPlus.jsonl` (Apache-2.0, after HumanEval's MIT), gzipped or not. Nothing of it is shipped
here.

Prompt and public tests are HumanEval's (`humaneval.py`). How values are compared and what differs from EvalPlus:
`_plus.py`.
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from tts.problems import _oracles
from tts.problems._columns import Columns
from tts.problems._expected import Expected
from tts.problems._plus import COLUMNS, PlusRows, plus_tests, read_plus
from tts.problems._rows import Row, RowFormat, public_first
from tts.problems.humaneval import problem, read_head
from tts.types import Test


def _tests(expected: Expected, row: Row, where: str) -> tuple[Test, ...]:
    hidden = plus_tests(read_plus(row, where), _oracles.HUMANEVAL, expected, where)
    return public_first(read_head(row, where).public_tests, hidden)


@dataclass(frozen=True)
class HumanEvalPlus(PlusRows):
    """Options: `path` is a JSONL file, gzipped or not, a folder of them, or a hub data set's file
    (owner/name/file.jsonl); `ids` and `limit` (the first so many) narrow; `level` is as in `grading.level`.
    """

    columns: ClassVar = Columns(COLUMNS, task_id="HumanEval/")

    def row_format(self) -> RowFormat:
        """EvalPlus's, for HumanEval."""
        return RowFormat(problem, partial(_tests, Expected(self.level)))


plugin = HumanEvalPlus
