"""How far a run is, watched from another terminal: what its store holds of what its config asks for, again and again.

Reads only, and no texts, so watching costs the run nothing. Ends when all is done, or when nobody works on it any more.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tts import analysis, pipeline
from tts.errors import counted
from tts.store import is_being_written, open_for_reading
from tts.wording import visible

SECONDS = 2.0  # between two looks
BAR = 30  # columns
FIRST_STAGE = "generate"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a run, `done` of `total`; the total of later stages grows with what earlier ones finish."""

    name: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Progress:
    """A run as it is stored now; `at_work` says whether somebody is writing to it."""

    stages: tuple[Stage, ...]
    verdicts: dict[str, int]
    at_work: bool

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return all(stage.done >= stage.total for stage in self.stages)


def look(folder: Path) -> Progress:
    """How far the run in a folder is. Raises StoreError if there is none."""
    at_work = is_being_written(folder)  # before the rest: what ends meanwhile is seen complete at the next look
    with open_for_reading(folder) as store:
        if at_work and store.meta("config") is None:
            return Progress((Stage(FIRST_STAGE, 0, 1),), {}, at_work)
        config = analysis.stored_config(store)
        grader = analysis.stored_grader(store)
        found = store.counts(grader, store.meta("observer") or grader, store.meta("scorers") or {})
        stopped = len(analysis.stored_stops(store) or {})
    n = 0 if stopped == found.problems else config.generator.n or 0  # a policy may have had enough before n
    wanted = max(n * found.problems, found.candidates)
    stages = [Stage(FIRST_STAGE, found.candidates, wanted)]
    stages += [Stage(f"score {label}", done, found.candidates) for label, done in found.scored.items()]
    stages.append(Stage("grade", sum(found.verdicts.values()), found.programs))
    if "behaviours" in pipeline.needs(config):
        stages.append(Stage("behaviours", found.observed, found.programs))
    return Progress(tuple(stages), found.verdicts, at_work)


def looks(folder: Path, seconds: float) -> Iterator[Progress]:
    """The run again and again, until it is complete or nobody works on it. Raises StoreError as `look`."""
    while True:
        found = look(folder)
        yield found
        if not found.at_work:
            return
        time.sleep(seconds)


def watch(folder: Path, console: Console, seconds: float = SECONDS) -> None:
    """Show the run's stages in the terminal, as lines where it is none, until there is nothing to wait for."""
    begun, first = time.monotonic(), look(folder)
    last = first
    if console.is_terminal:
        with Live(console=console, transient=False) as shown:
            for last in looks(folder, seconds):
                shown.update(drawn(folder, last, first, time.monotonic() - begun))
    else:
        said = ""
        for last in looks(folder, seconds):
            if (line := in_a_line(last)) != said:
                console.print(line, markup=False, highlight=False, soft_wrap=True)
                said = line
    console.print(visible(_end(folder, last)), markup=False, highlight=False, soft_wrap=True)


def in_a_line(found: Progress) -> str:
    """The stages in one line."""
    return ", ".join(f"{visible(stage.name)} {stage.done:,} of {stage.total:,}" for stage in found.stages)


def drawn(folder: Path, found: Progress, first: Progress, seconds: float) -> RenderableType:
    """The stages as bars, with what each does per second and has left by what was seen in `seconds` since `first`."""
    table = Table.grid(padding=(0, 2, 0, 0))
    before = {stage.name: stage.done for stage in first.stages}
    for stage in found.stages:
        rate = (stage.done - before.get(stage.name, 0)) / seconds if seconds > 0 else 0.0
        bar = ProgressBar(total=max(1, stage.total), completed=stage.done, width=BAR)
        count = f"{stage.done:,} of {stage.total:,}"
        table.add_row(Text(visible(stage.name)), bar, Text(count, justify="right"), Text(_pace(stage, rate), "dim"))
    return Group(Text(visible(f"{folder}"), style="bold"), table, Text(_graded(found), "dim"))


def _pace(stage: Stage, rate: float) -> str:
    if stage.done >= stage.total:
        return "done so far" if stage.name != FIRST_STAGE else "done"
    if rate <= 0:
        return ""
    left = (stage.total - stage.done) / rate
    minutes, seconds = divmod(int(left), 60)
    return f"{rate:,.1f}/s, {minutes // 60}:{minutes % 60:02}:{seconds:02} left"


def _graded(found: Progress) -> str:
    """What the verdicts so far come to."""
    total = sum(found.verdicts.values())
    if not total:
        return "nothing graded yet"
    names = sorted(found.verdicts.items(), key=lambda pair: -pair[1])
    return f"{counted(total, 'program')} graded: " + ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in names)


def _end(folder: Path, last: Progress) -> str:
    if last.complete:
        return f"{folder} is complete. Its table and page: tts report {folder}"
    return f"Nobody works on {folder}, which is not complete. Continue it with the same `tts run`."
