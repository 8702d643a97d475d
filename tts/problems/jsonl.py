"""A user's own problems: one JSON object a line, in LiveCodeBench's row format (the README has an example).

Licence and source are the user's. `question_id`, `question_content` and one of the two test lists are needed; the rest
is optional.
"""

from dataclasses import dataclass

from tts.problems._lcb import LcbRows


@dataclass(frozen=True)
class Jsonl(LcbRows):
    """Options: `path` of the file (Parquet with the same columns will do), or of a folder of them; `start_date` and
    `end_date` are ISO days, both ends included; `difficulty`, `platform`, `ids` and `limit` (the first so many) narrow
    further.
    """


plugin = Jsonl
