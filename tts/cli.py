"""The command line: reads arguments, calls the parts, prints. Exit status 0, 2 for a user's mistake, 1 for our
failure.
"""

import io
import json
import logging
import os
import shlex
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TextIO

import typer
from rich.console import Console

from tts import __version__, terminal
from tts.errors import ConfigError, DataError, InfraError, StoreError, UserError, counted, explained, unknown

if TYPE_CHECKING:
    from markupsafe import Markup
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from tts.analysis import RunReport
    from tts.audit import Asked, Audit
    from tts.config import Config, ServeConfig
    from tts.cost import Unit
    from tts.findings import Findings
    from tts.grade import Grader
    from tts.grade_files import Graded
    from tts.pipeline import Workplace
    from tts.sandbox import Confinement

LOG_SECONDS = 30.0
MOST_COMPARED = 26  # runs, which are named by letters
LOOPBACK = "127.0.0.1"
NOTHING_YET = "Nothing was finished yet; the same command begins anew."
STOPPED = 128  # and the signal's number: what a shell expects of a program that a signal ended

app = typer.Typer(
    help="Test-time scaling for code models: sample N programs, rank them, measure what the ranking is worth.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"tts {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit")
    ] = False,
) -> None:
    pass


ConfigArgument = Annotated[Path, typer.Argument(help="A YAML file, for example configs/demo.yaml")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Keys of the config: seed=1")]
Folders = Annotated[list[Path], typer.Argument(help="Folders that `tts run` made")]
Curves = Annotated[
    list[str] | None,
    typer.Option(
        "--curve", help="A selector, as tables name it, to draw at first in pictures and page; default: the best ones"
    ),
]
Format = Annotated[str | None, typer.Option(help="Print numbers, and write nothing: md, json, csv or tex")]
Out = Annotated[Path, typer.Option("--out", help="The JSONL file to write; its folder is made")]


def _stop_in_order() -> None:
    """Take SIGTERM and SIGHUP (a closed terminal) as Ctrl-C, and the first of them only: ending in order takes moments,
    and is not to be disturbed. Those that our caller has us ignore, such as nohup, stay ignored.
    """
    all_of_them = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    numbers = [number for number in all_of_them if signal.getsignal(number) != signal.SIG_IGN]

    def stop(got: int, _: object) -> None:
        for number in numbers:
            signal.signal(number, lambda *_: None)  # not SIG_IGN, of which Python would complain if one is on its way
        raise KeyboardInterrupt(got)

    for number in numbers:
        signal.signal(number, stop)


def _say(text: str, file: TextIO | None = None) -> None:
    """A line on standard error. Where nobody reads that any more, what is being done goes on all the same."""
    file = file or sys.stderr
    try:
        print(text, file=file, flush=True)
    except OSError:
        with open(os.devnull, "wb") as nowhere:  # else what is left unsaid fails again at the end
            os.dup2(nowhere.fileno(), file.fileno())


def _warn_of_level(confinement: "Confinement") -> None:
    if confinement.why:
        _say(f"Warning: programs are confined at level {confinement.level} only. {confinement.why}")


@dataclass
class _Bars:
    """Progress bars on stderr, one per stage, with rate and remaining time."""

    bars: "Bars"
    tasks: "dict[str, TaskID]" = field(default_factory=dict)

    def stage(self, name: str, total: int, done: int) -> None:
        """Begin a bar."""
        self.tasks[name] = self.bars.add_task(name, total=total, completed=done)

    def advance(self, name: str) -> None:
        """Move the bar."""
        self.bars.advance(self.tasks[name])


@dataclass
class _Lines:
    """Progress in a log file: a line when a stage begins and ends, and every LOG_SECONDS between."""

    file: TextIO
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    said: dict[str, float] = field(default_factory=dict)

    def stage(self, name: str, total: int, done: int) -> None:
        """Begin a stage."""
        self._count(name, done, total)
        self._say(name)

    def advance(self, name: str) -> None:
        """Count, and say so now and then."""
        done, total = self.counts[name]
        self._count(name, done + 1, total)
        if done + 1 >= total or time.monotonic() - self.said[name] >= LOG_SECONDS:
            self._say(name)

    def _count(self, name: str, done: int, total: int) -> None:
        self.counts[name] = done, total

    def _say(self, name: str) -> None:
        done, total = self.counts[name]
        _say(f"{name}: {done} of {total}", self.file)
        self.said[name] = time.monotonic()


class _Sayer(logging.Handler):
    """What the package says while it works, said above the bars."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self.say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Print it."""
        self.say(record.getMessage())


@contextmanager
def _bars() -> "Iterator[_Bars | _Lines]":
    """Progress on standard error, and above it what the package logs."""
    log = logging.getLogger("tts")
    before = log.level
    with _progress() as (progress, say):
        sayer = _Sayer(say)
        log.addHandler(sayer)
        log.setLevel(logging.INFO)
        try:
            yield progress
        finally:
            log.removeHandler(sayer)
            log.setLevel(before)


@contextmanager
def _progress() -> "Iterator[tuple[_Bars | _Lines, Callable[[str], None]]]":
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<20}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    # A stream of its own: while an engine starts, what this process prints goes to the engine's log.
    with os.fdopen(os.dup(sys.stderr.fileno()), "w", errors="backslashreplace") as stream:
        console = Console(file=stream)
        if not console.is_terminal:
            yield _Lines(stream), partial(_say, file=stream)
            return
        with Progress(*columns, console=console) as bars:
            yield _Bars(bars), partial(console.print, markup=False, highlight=False, soft_wrap=True)


@app.command()
def run(
    config: ConfigArgument,
    overrides: Overrides = None,
    folder: Annotated[Path | None, typer.Option(help="Where the run is kept; default runs/<config name>")] = None,
) -> None:
    """Do whatever of an experiment is missing, then print its table and write its page.

    An existing folder is continued: raise n, add a scorer, a selector or problems, and only the missing part is done.

    Example: tts run configs/demo.yaml generator.n=32 --folder runs/demo32
    """
    place = folder or Path("runs") / config.stem
    again = shlex.join(["tts", "run", str(config), *(overrides or []), *(["--folder", str(folder)] if folder else [])])
    with _stoppable(lambda: _how_to_go_on(place, again)):
        _run(config, overrides or [], place)


def _how_to_go_on(folder: Path, again: str) -> str:
    from tts.store import holds_candidates

    if holds_candidates(folder):
        return f"What was finished is stored. To continue: {again}"
    return f"Nothing was finished yet. To begin anew: {again}"


def _run(config: Path, overrides: list[str], folder: Path) -> None:
    from tts import config as configs
    from tts import pipeline
    from tts.store import open_for_writing

    chosen = configs.load(config, overrides)
    with open_for_writing(folder) as store:
        with _bars() as progress, _workplace(chosen) as where:
            undecided = pipeline.run(chosen, store, progress, _warn_of_level, where)
        try:
            _show(store)
        except StoreError:
            if not undecided:  # else nothing may be left to show, and why is what matters
                raise
    if undecided:
        raise pipeline.unsettled(undecided)


def _workplace(config: "Config") -> "AbstractContextManager[Workplace]":
    """Where the config's models and programs shall run."""
    if config.cluster is None:
        from tts.pipeline import Here

        return nullcontext(Here())
    from tts.cluster import RayCluster

    return RayCluster(config.cluster)


@contextmanager
def _stoppable(remedy: str | Callable[[], str]) -> Iterator[None]:
    """Turn Ctrl-C, or what `_stop_in_order` takes for it, into one line that says how to go on; a remedy that depends
    on how far it came is asked for then.
    """
    _stop_in_order()
    try:
        yield
    except KeyboardInterrupt as stop:
        _say(f"\nStopped. {remedy if isinstance(remedy, str) else remedy()}")
        raise typer.Exit(STOPPED + (stop.args[0] if stop.args else signal.SIGINT)) from None


def _writing(folder: Path) -> AbstractContextManager[None]:
    """Tables and pictures that cannot be written can be made again, and the message says how."""
    remedy = f"What is stored is not touched: make room there, then run `tts report {folder}`."
    return explained(UserError, f"{folder} cannot be written", remedy)


def _show(store: Any) -> None:
    """Print the table, write pictures, page and YAML beside the store, and say where."""
    from tts import analysis

    found = analysis.analyse(store)
    with _writing(store.folder):
        (store.folder / "config.yaml").write_text(found.config.dump(), encoding="utf-8")
    _show_one(found)


def _show_one(found: "RunReport", against: str | None = None, curves: Sequence[str] = ()) -> None:
    """Print a run's tables, write its pictures and its page, and say where they are and how large. Selectors are
    compared with the one `against`, by default the best.
    """
    from tts import findings, page, palette, picture

    palette.check_curves([found], curves)
    whole = findings.Findings(found, against)
    with _writing(found.folder):
        picture.write_pictures([found], found.folder, curves)
        more = _kept_in(found.folder)
        written = page.write_page([whole], found.folder / "report.html", more=more, curves=curves)
    _print_tables(whole)
    print(f"Report: {written}   Picture: {found.folder / 'curves.png'}, .svg")


def _print_tables(whole: "Findings") -> None:
    from tts import cost_report, report

    console = terminal.console()
    for table in report.tables(whole):
        console.print(table, "")
    said = cost_report.pruned_sentences(whole.report)
    if whole.saved is not None:
        said += cost_report.saved_sentences(whole.saved, whole.report.config.report.level)
    for sentence in said:
        console.print(sentence, highlight=False, markup=False)


def _kept_in(folder: Path) -> "Markup":
    """The sections of the replays and the audit in a run's folder, for its page; a warning for one that is damaged."""
    from tts import audit_report, replay_report

    found = audit_report.NOTHING
    for what, section in (("replays", replay_report.saved_section), ("audit", audit_report.saved_section)):
        try:
            found += section(folder)
        except DataError as error:
            _say(f"Warning: the page is without its {what}. {error}")
    return found


def _analysed(folders: list[Path], with_curves: bool = True) -> "list[RunReport]":
    from tts import analysis
    from tts.store import open_for_reading

    found = []
    for folder in folders:
        with open_for_reading(folder) as store:
            found.append(analysis.analyse(store, with_curves))
    return found


@app.command()
def report(
    folders: Folders,
    format: Annotated[
        str | None, typer.Option(help="Print numbers instead of writing pages: md, json, csv or tex")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show how far a run is, until it is done; nothing else")
    ] = False,
    against: Annotated[
        str | None, typer.Option(help="A selector to compare every other with, in the terminal; default: the best")
    ] = None,
    curves: Curves = None,
) -> None:
    """Print the table of finished or half-finished runs and write their pages anew; nothing is sampled or graded.

    Example: tts report runs/demo

    Example: tts report runs/demo --format md

    Example: tts report runs/demo --against majority

    Example: tts report runs/demo --curve majority --curve argmax:length

    Example: tts report runs/demo --watch
    """
    if against and (watch or format or as_json):
        raise ConfigError(
            "--against is of the terminal's table, so without --watch; --format json has every comparison."
        )
    if curves and (watch or format or as_json):
        raise ConfigError(
            "--curve is for pictures and pages, and neither --format nor --watch makes one. Leave it out."
        )
    if watch:
        _watch(folders, format or ("json" if as_json else None))
    elif format or as_json:
        _print_numbers(folders, format or "json")
    else:
        for one in _analysed(folders):
            _show_one(one, against, curves or ())


def _print_numbers(folders: list[Path], format: str) -> None:
    from tts.findings import Findings
    from tts.formats import FORMATS

    _check_format(format, FORMATS)
    sys.stdout.write(FORMATS[format]([Findings(run) for run in _analysed(folders)]))


def _check_format(format: str | None, known: Collection[str]) -> None:
    if format is not None and format not in known:
        raise ConfigError(unknown(format, "--format", known))


def _watch(folders: list[Path], format: str | None) -> None:
    from tts import live

    if format or len(folders) > 1:
        raise ConfigError("--watch shows one run in the terminal: give it one folder, and no --format.")
    with _stoppable("The run goes on; this only watched it."):
        live.watch(folders[0], terminal.console())


@app.command()
def compare(
    folders: Folders,
    to: Annotated[Path, typer.Option(help="Where to put the common pictures and page")] = Path("runs/compare"),
    cost: Annotated[
        str | None, typer.Option(help="What cost is in: flops, tokens, seconds or k; default: the first that all know")
    ] = None,
    format: Format = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json")] = False,
    selector: Annotated[
        list[str] | None,
        typer.Option(help="Give it once for each run, in their order, to pair these; default: each with itself"),
    ] = None,
    curves: Curves = None,
) -> None:
    """Compare two runs or more on the problems they share: curves, a Pareto front over cost, and paired differences
    with intervals, at equal k and at equal cost.

    Example: tts compare runs/small-n64 runs/large-n8

    Example: tts compare runs/0.5b runs/1.5b runs/7b --cost flops

    Example: tts compare runs/0.5b runs/1.5b --selector argmax --selector majority
    """
    from tts import comparison, cost_report, findings, formats, frontier, page, palette, picture
    from tts.report import as_table

    format = format or ("json" if as_json else None)
    _check_format(format, formats.COMPARED)
    if not 2 <= len(folders) <= MOST_COMPARED:
        raise ConfigError(f"tts compare takes from 2 to {MOST_COMPARED} run folders, got {len(folders)}.")
    runs = _analysed(folders)
    palette.check_curves(runs, curves or ())
    found = frontier.frontier(runs, _unit(cost), selector)
    chosen = [None] * len(runs) if selector is None else [(selector[0], other) for other in selector]
    pairs = zip(runs[1:], chosen[1:], strict=True)
    compared = page.Compared(tuple(comparison.compare(runs[0], other, names) for other, names in pairs), found)
    beside = formats.Beside(runs, compared.comparisons, found)
    if format:
        sys.stdout.write(formats.COMPARED[format](beside))
        return
    console = terminal.console()
    for sheet in beside.sheets:
        console.print(as_table(sheet))
    for sentence in cost_report.verdict(runs, found):
        console.print(sentence, highlight=False, markup=False)
    with explained(UserError, f"{to} cannot be written", "Give another --to."):
        to.mkdir(parents=True, exist_ok=True)
        picture.write_pictures(runs, to, curves or ())
        whole = [findings.Findings(run) for run in runs]
        written = page.write_page(whole, to / "report.html", compared=compared, curves=curves or ())
    print(f"Report: {written}   Picture: {to / 'curves.png'}, .svg")


def _unit(name: str | None) -> "Unit | None":
    from tts.cost import UNITS

    if name is not None and name not in UNITS:
        raise ConfigError(unknown(name, "what --cost can be", UNITS))
    return name


@app.command()
def replay(
    folder: Annotated[Path, typer.Argument(help="A finished run's folder")],
    policy: Annotated[
        list[str], typer.Option("--policy", help="A stopping policy: beta, or '{name: pandora, cost: [0.01, 0.1]}'")
    ],
    selector: Annotated[
        str | None, typer.Option(help="A selector's label; default: the run's first but random")
    ] = None,
    scorer: Annotated[str | None, typer.Option(help="A scorer's label; default: the run's first")] = None,
    orders: Annotated[
        int | None, typer.Option(min=2, help="Orders of each problem's candidates; default: as report.draws allow")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="The picture, .png or .svg; default: replay-SELECTOR-POLICIES.png in the folder")
    ] = None,
    format: Format = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json")] = False,
) -> None:
    """Decide after each stored candidate whether to go on, as each policy would, and show what that costs and solves
    beside uniform sampling at equal tokens. Nothing is sampled: any run with n candidates per problem will do.

    An option that is given as a list is tried with each value: '{name: pandora, cost: [0.01, 0.1]}' is two rows of the
    table. A bare name is tried with several values of the option that decides how soon it stops: `beta` with several
    confidences, `pandora` with several costs. What is written into the run's folder is in its page from the next
    `tts report` on.

    Example: tts replay runs/demo --policy beta --policy '{name: pandora, cost: [0.01, 0.1]}'
    """
    from tts import config as configs
    from tts import replay as replays
    from tts import replay_report

    format = format or ("json" if as_json else None)
    _check_format(format, replay_report.FORMATS)
    if to is not None and to.suffix not in (".png", ".svg"):
        raise ConfigError(f"--to takes a file that ends in .png or .svg, got {to}.")
    asked = [configs.value(text, f"The policy {text!r}") for text in policy]
    (report,) = _analysed([folder], with_curves=False)
    with _stoppable("Nothing was written."), _bars() as progress:
        found = replays.replay(report, asked, selector, scorer, orders, progress)
    if format:
        sys.stdout.write(replay_report.FORMATS[format](found))
        return
    terminal.console().print(replay_report.table(found))
    path = to or replay_report.file_of(folder, found.selector, asked)
    with explained(UserError, f"{path} cannot be written", "Give another --to."):
        path.parent.mkdir(parents=True, exist_ok=True)
        replay_report.write(found, path)
    print(f"Picture: {path}   Numbers: {path.with_suffix('.json')}")


@app.command()
def plan(
    config: ConfigArgument,
    overrides: Overrides = None,
    total_gib: Annotated[float | None, typer.Option(help="Total memory of the device; default: detected")] = None,
    free_gib: Annotated[float | None, typer.Option(help="Free memory of the device; default: detected, or all")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print numbers as JSON instead of a table")] = False,
) -> None:
    """Work out how a config's models share the device's memory, without loading them; a GPU need not be there.

    Example: tts plan configs/demo.yaml --total-gib 80
    """
    from tts import config as configs
    from tts import planning

    sizes = [f"memory.total_gib={total_gib}"] if total_gib is not None else []
    sizes += [f"memory.free_gib={free_gib}"] if free_gib is not None else []
    chosen = configs.load(config, [*(overrides or []), *sizes])
    found = planning.plan_for(chosen)
    if as_json:
        print(json.dumps(planning.as_json(found), indent=1))
    else:
        terminal.console().print(planning.table(found))


@app.command()
def grade(
    problems: Annotated[Path, typer.Argument(help="Problems in LiveCodeBench's row format, JSONL")],
    candidates: Annotated[Path, typer.Argument(help='JSONL rows {"question_id", "index", "code" or "text"}')],
    out: Out,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Programs run at once; default one per usable core")
    ] = None,
    timeout: Annotated[float, typer.Option(max=86_400, help="CPU seconds per test")] = 6.0,
    memory_mib: Annotated[int, typer.Option(min=32, max=2**24, help="Memory per program in MiB")] = 2048,
    output_mib: Annotated[int, typer.Option(min=1, max=2**20, help="Output per test in MiB")] = 16,
    tolerance: Annotated[
        float | None,
        typer.Option(help="How far numbers that are no integers may be off, such as 1e-6; a problem's own goes before"),
    ] = None,
    also: Annotated[
        str | None, typer.Option(help="lcb: report where LiveCodeBench's own comparison gives another verdict")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="The file of verdicts to read and add to; default: in the user's cache")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Read and keep no verdicts")] = False,
    isolation: Annotated[
        str, typer.Option(help="A process for each test, or for each program: faster, for choosing, not for scores")
    ] = "test",
    level: Annotated[
        str, typer.Option(help="How programs are confined: A to D, or auto for the best here; see tts sandbox-check")
    ] = "auto",
    language: Annotated[str, typer.Option(help="What the programs are written in: python or cpp")] = "python",
    unsafe: Annotated[
        bool, typer.Option("--unsafe-no-sandbox", help="Level D: limits alone, for programs that you trust")
    ] = False,
) -> None:
    """Run candidates on their problems' public and hidden tests, and write a verdict for each in input order.

    Example: tts grade problems.jsonl candidates.jsonl --out grades.jsonl --workers 4
    """
    from tts import grade_files

    asked = grade_files.GradeOptions(
        timeout, memory_mib, output_mib, tolerance, also, isolation, level, unsafe, language, workers
    )
    kept_in = _cache(cache, no_cache)
    if kept_in is not None:
        grade_files.check_apart(out, kept_in)
    with _stoppable(f"Nothing was graded, and {out} was not written."):
        grader = asked.grader()
        _warn_of_level(grader.confinement)
        _ = grader.runtime  # not to be had, it should be told before anything is read
    found = _graded(problems, candidates, out, grader, kept_in)
    for line in grade_files.graded_lines(found, grader, out):
        _say(line)
    if found.undecided:
        raise InfraError(
            f"{found.undecided} rows are infra_error: our own machinery failed on them. Run the command again."
        )


def _graded(problems: Path, candidates: Path, out: Path, grader: "Grader", kept_in: Path | None) -> "Graded":
    from tts import grade_files
    from tts.verdicts import Verdicts

    with Verdicts(kept_in, _say) as verdicts:
        kept = "verdicts found so far are kept, and the same command goes on from there"
        again = kept if verdicts.usable else "the same command grades anew"
        with _stoppable(f"{out} was not written; {again}."), _bars() as progress:
            return grade_files.grade(problems, candidates, out, grader, verdicts, progress)


def _cache(given: Path | None, none: bool) -> Path | None:
    """The file of verdicts that is meant; a warning on standard error where there is no place for one. Raises
    ConfigError.
    """
    from tts.verdicts import default_path

    if none and given is not None:
        raise ConfigError("--cache and --no-cache were both given. Leave one of them out.")
    try:
        return None if none else given or default_path()
    except RuntimeError:  # nobody's home
        _say("Warning: there is no home folder to keep verdicts in. Give --cache FILE to keep them.")
        return None


@app.command("sandbox-check")
def sandbox_check() -> None:
    """Try to break out of the sandbox, and print what holds on this machine, level by level, and what to do about the
    rest. Exit status 2 if no level holds at which programs are run unasked.

    Example: tts sandbox-check
    """
    from tts import sandbox

    console = terminal.console()
    reports = [sandbox.examine(level) for level in sandbox.Level]
    console.print(sandbox.table(reports))
    for report in reports:
        console.print(sandbox.describe(report), highlight=False)
    chosen = sandbox.find_confinement()
    console.print(f"Programs are run at level {chosen.level}. C and D are taken only when asked for.", highlight=False)


@app.command()
def score(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PAIRS] [KEY=VALUE]...",
            help='JSONL rows {"id", "question", "code"} (none with --self-test), then the scorer\'s options',
        ),
    ] = None,
    scorer: Annotated[str, typer.Option(help="A scorer's name; see `tts list`")] = "codescaler",
    out: Out = Path("scores.jsonl"),
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Compare with the scores that the reward model's own card publishes")
    ] = False,
) -> None:
    """Score question-code pairs with a scorer, and write {"id", "value", "why"} in input order.

    Example: tts score rows.jsonl --scorer codescaler model=LARK-Lab/CodeScaler-1.7B dtype=bfloat16 --out scores.jsonl
    """
    from tts import config as configs
    from tts import planning, plugins

    pairs, options = _pairs_and_options(arguments or [], self_test)
    spec = plugins.Spec(scorer, configs.options(options, "model"))
    chosen = planning.planned_alone(spec, plugins.build("scorer", spec, f"scorer {scorer!r}"))
    with ExitStack() as closing:
        closing.callback(getattr(chosen, "close", lambda: None))
        if pairs is None:
            _self_test(chosen)
        else:
            _score(pairs, chosen, out)


def _pairs_and_options(given: list[str], self_test: bool) -> tuple[Path | None, list[str]]:
    """The file of pairs, None for a self-test, and the scorer's options. Raises ConfigError."""
    if self_test:
        if given and "=" not in given[0]:
            raise ConfigError(
                f"--self-test scores its card's example and takes no file of pairs, got {given[0]}. Leave one out."
            )
        return None, given
    if not given or ("=" in given[0] and not Path(given[0]).exists()):
        raise ConfigError("No file of pairs. Give a JSONL file before the scorer's options, or --self-test.")
    return Path(given[0]), given[1:]


def _score(pairs: Path, scorer: Any, out: Path) -> None:
    from tts import score_files

    known = "What is known is kept beside the output; the same command goes on from there."
    with _stoppable(lambda: known if _holds_something(score_files.part_of(out)) else NOTHING_YET), _bars() as progress:
        score_files.score(pairs, scorer, out, progress)
    for note in getattr(scorer, "notes", ()):
        _say(note)


def _self_test(scorer: Any) -> None:
    from tts import selftest

    with _stoppable("The same command tests anew."), _bars():
        outcome = selftest.run(scorer)
    print(outcome)
    if not outcome.passed:
        raise UserError(
            "The scorer does not give the scores of CodeScaler's card, which is what this tests. Check that the "
            "checkpoint and its chat template are those of the card; with a low-precision dtype, try dtype=float32."
        )


@app.command()
def audit(
    config: Annotated[Path, typer.Argument(help="A YAML file with `scorers:`; a run's config does as well")],
    pool: Annotated[Path | None, typer.Option(help="A graded run: a folder that `tts run` made")] = None,
    rm_bench: Annotated[Path | None, typer.Option(help="RM-Bench's total_dataset.json")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write; default: the pool's, else audit-<config name>")
    ] = None,
    probes: Annotated[
        int, typer.Option(min=0, max=1000, help="Right programs of each problem that are changed, executed and scored")
    ] = 2,
    dtype: Annotated[bool, typer.Option(help="Also score a sample in another dtype")] = True,
) -> None:
    """Find out whether scorers can be trusted: self-test and format, RM-Bench, the order of a graded run's programs,
    and programs that were changed to deceive them. docs/audit.md says what each number is.

    Writes audit.json and audit.html; `tts report` shows the audit of a run's folder as well. What was computed is kept
    in audit.jsonl there, so the same command continues an interrupted audit.

    Example: tts audit configs/demo.yaml --pool runs/demo

    Example: tts audit scorers.yaml --rm-bench total_dataset.json --out runs/audit
    """
    from tts import audit as audits
    from tts import config as configs

    scorers = configs.load_scorers(config)
    folder = out or pool or Path(f"audit-{config.stem}")
    asked = audits.Asked(scorers, pool, rm_bench, probes, dtype)
    kept_in = folder / audits.FILE
    kept = f"What was found is kept in {kept_in}; the same command goes on from there."
    with _stoppable(lambda: kept if _holds_something(kept_in) else NOTHING_YET):
        found = _audited(asked, folder)
    if found.undecided:
        programs = counted(found.undecided, "program")
        raise InfraError(f"{programs} could not be run because our own machinery failed. Run the command again.")


def _holds_something(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def _audited(asked: "Asked", folder: Path) -> "Audit":
    """Audit, print, and write what was found."""
    from tts import audit as audits
    from tts import audit_report, writing

    with _bars() as progress:
        found = audits.audit(asked, folder, progress, _warn_of_level)
    saved = audit_report.as_json(found)
    for name, text in (
        (audit_report.FILE, json.dumps(saved, indent=1) + "\n"),
        (audit_report.PAGE, audit_report.page(saved, folder.resolve().name)),
    ):
        with writing.replacing(folder / name, " What was found is kept.") as beside:
            beside.write_text(text, encoding="utf-8")
    console = terminal.console()
    console.print(audit_report.terminal(saved, console.width))
    print(f"Audit: {folder / audit_report.PAGE}   Numbers: {folder / audit_report.FILE}")
    return found


@app.command()
def pairs(
    places: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Folders that `tts run` made, graded; or files of pairs, .jsonl or .parquet"
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The file to write, .jsonl or .parquet")],
    per_problem: Annotated[int, typer.Option(help="Pairs of each problem at most")] = 8,
    held_out: Annotated[float, typer.Option(help="Share of the problems that is kept from training")] = 0.1,
    mutants: Annotated[
        int, typer.Option(help="Of these, pairs with a right program changed until it fails, at most; 0 makes none")
    ] = 0,
    balance: Annotated[bool, typer.Option(help="The chosen program is the longer one as often as not")] = True,
    bare: Annotated[
        bool, typer.Option("--bare", help="Nothing but CodeScalerPair-51K's columns: training then splits anew")
    ] = False,
    seed: Annotated[
        int, typer.Option(help="Decides which pairs are drawn, which mutants are tried and which problems are held out")
    ] = 0,
) -> None:
    """Make preference pairs for `tts train` of graded runs: chosen passes all tests, rejected fails one.

    Programs that differ only in words count once, and problems that are alike are never on both sides of the split.
    docs/training.md says how they are chosen.

    Example: tts pairs runs/mbpp-0.5b runs/mbpp-135m --out runs/pairs.jsonl --mutants 2
    """
    from tts import pair_rows, writing
    from tts.pairs import Rules, choose

    rules = Rules(per_problem, held_out, mutants, balance, seed)
    pair_rows.check_ending(out)
    writing.check_writable(out, *(place for place in places if place.is_file()))
    kept_in = out.with_name(f"{out.name}.verdicts.jsonl")
    known = "What was executed is kept beside the output; the same command goes on from there."
    with _stoppable(lambda: known if _holds_something(kept_in) else NOTHING_YET):
        with _bars() as progress:
            mutating = pair_rows.Mutating(mutants, kept_in, progress, seed) if mutants else None
            found = choose(pair_rows.materials(places, mutating), rules)
        pair_rows.write(out, found.pairs, bare)
    for line in pair_rows.summary(found):
        print(line)
    print(f"Pairs: {out}")


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="A YAML file, for example configs/train-lora.yaml")],
    overrides: Overrides = None,
    folder: Annotated[Path | None, typer.Option(help="Where the training is kept; default runs/<config name>")] = None,
) -> None:
    """Train a reward model on pairs that `tts pairs` made, and print its held-out accuracy after each epoch.

    FOLDER/model is a checkpoint for `scorers: [{name: codescaler, model: FOLDER/model}]`. The same command goes on
    where it was stopped. docs/training.md says what each number is.

    Example: tts train configs/train-lora.yaml pairs=runs/pairs.jsonl epochs=2
    """
    from tts import train as trains
    from tts import training, training_picture

    place = folder or Path("runs") / config.stem
    chosen = training.load(config, overrides or [])
    known = "The same command goes on from the last checkpoint."
    with _stoppable(lambda: known if trains.last_checkpoint(place) else NOTHING_YET), _bars() as progress:
        found = trains.train(chosen, place, progress)
    with _writing_pictures(place):
        for name in ("training.png", "training.svg"):
            training_picture.write_picture(found.epochs, place / name)
    terminal.console().print(training.table(found.epochs))
    told = f"of which length alone tells {100 * found.length_accuracy:.1f}%"
    print(f"{counted(found.pairs, 'pair')} trained on, {told}; {found.held_out} held out, {found.overlong} too long.")
    print(f"Model: {found.model}   Picture: {place / 'training.png'}, .svg")
    if found.adapter is not None:
        print(f"Adapter: {found.adapter}, which shares the weights of a generator with the same model")


def _writing_pictures(folder: Path) -> AbstractContextManager[None]:
    return explained(UserError, f"{folder} cannot be written", "The model is there: run the same command again.")


@app.command()
def extract(
    file: Annotated[str, typer.Argument(help="A file with a model's answer, or - for standard input")],
    rule: Annotated[str, typer.Option(help="cascade or codescaler")] = "cascade",
) -> None:
    """Print the program in a model's answer, and on standard error which rule found it ("none" if none did).

    Example: tts extract answer.txt
    """
    from tts.prompts import extract as find

    with explained(ConfigError, f"{file} cannot be read", "Give a file, or - for standard input."):
        text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    found = find(text.decode("utf-8", "replace"), rule)
    print(found.rule + (" (truncated)" if found.truncated else ""), file=sys.stderr)
    sys.stdout.write(found.code or "")


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A run folder")],
    to: Annotated[Path, typer.Option(help="FILE.jsonl or FILE.parquet")],
    format: Annotated[str, typer.Option(help="rows, or livecodebench for its own sample file (JSON)")] = "rows",
) -> None:
    """Write one row per candidate of a run, or LiveCodeBench's own sample file.

    Example: tts export runs/demo --to demo.parquet
    """
    from tts import export
    from tts.store import open_for_reading

    with open_for_reading(folder) as store:
        count = export.export(store, to, format)
    print(f"{counted(count, 'row')} in {to}")


@app.command()
def serve(
    config: ConfigArgument,
    overrides: Overrides = None,
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0 is every address of this machine")] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one")] = 8000,
) -> None:
    """Answer OpenAI's routes with the best of N: clients ask as they ask an ordinary model.

    Example: tts serve configs/serve-demo.yaml

    Example: tts serve configs/serve-demo.yaml generator.n=4 serve.keys_env=TTS_KEYS --host 0.0.0.0 --port 8080
    """
    from tts import config as configs

    chosen = configs.load_serve(config, overrides or [])
    with _stoppable("Requests under way, if any, were broken off."), _logged():
        _serve(chosen, host, port)


def _serve(config: "ServeConfig", host: str, port: int) -> None:
    try:
        from tts import server
        from tts.serving.service import Service
    except ModuleNotFoundError as error:
        raise ConfigError(f"tts serve needs {error.name}: pip install -c constraints.txt -e '.[serve]'") from error
    with server.bound(host, port) as address:
        service = Service.build(config)
        keys = server.keys_of(service)
        if not keys and host not in (LOOPBACK, "::1", "localhost"):
            _say("Warning: whoever reaches this machine may use this server. Set serve.keys_file or serve.keys_env.")
        url = f"http://{f'[{host}]' if ':' in host else host}:{address.getsockname()[1]}"
        try:
            service.load()
            server.serve(service, keys, address, lambda: _say(f"Serving {service.model!r} at {url}/v1; page: {url}/"))
        finally:
            service.close()


@contextmanager
def _logged() -> Iterator[None]:
    """What the server has to say, a line each on standard error, with its time."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("tts")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@app.command()
def merge(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders that `tts run` made, such as shards")
    ],
    to: Annotated[Path, typer.Option(help="The folder of the run that they become, a new one")],
) -> None:
    """Join runs of the same samples into one: shards of a benchmark, or runs on different problems. What two of them
    both have is taken once; runs whose fingerprints differ are refused. The runs stay as they are.

    Example: tts merge runs/part0 runs/part1 --to runs/whole
    """
    from tts import merging

    with _stoppable(f"{to} was not made."):
        found = merging.merge(folders, to)
    for remark in found.remarks:
        _say(f"Warning: {remark}")
    print(f"{counted(found.candidates, 'candidate')} of {counted(found.problems, 'problem')} in {to}")


@app.command()
def problems(
    benchmark: Annotated[str, typer.Argument(help="A benchmark's name (see `tts list`), or your.module:Class")],
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Its options: path=rows.jsonl limit=5")
    ] = None,
    head: Annotated[int, typer.Option(min=1, help="How many problems to show")] = 3,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead, with the texts exactly as they are")
    ] = False,
) -> None:
    """Print a benchmark's first problems as a model would get them: tags, messages, public tests, and how many tests
    are hidden. A run's `prompt.system` replaces the system message shown here.

    Example: tts problems mini --head 1

    Example: tts problems livecodebench path=~/data/code_generation_lite release=v6 start_date=2024-08-01

    Example: tts problems jsonl path=problems.jsonl 'ids=[double, echo]' --json
    """
    from tts import config as configs
    from tts import preview

    found = preview.preview(benchmark, configs.options(options or [], "path"), head)
    print(preview.as_json(found) if as_json else preview.as_text(found))


@app.command("list")
def list_plugins() -> None:
    """Print every plug-in with what its options mean, in which units, and their defaults.

    Example: tts list
    """
    from tts import plugins

    for family in plugins.FAMILIES:
        print(f"{plugins.PLURALS.get(family, f'{family}s')} (tts/{plugins.FAMILIES[family]}/):")
        for name in plugins.names(family):
            found = plugins.find(family, name)
            print(f"  {name}: {plugins.purpose(found)}")
            print(textwrap.fill(plugins.meaning(found), 110, initial_indent=" " * 6, subsequent_indent=" " * 6))
            for option in plugins.options(found):
                print(f"      {option.name}: {option.type} = {option.default}")
        print()


def _open_streams() -> None:
    """Standard streams that the caller closed lead nowhere; else files that are opened next would take their place."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def main() -> None:
    """Run the command line. A user's mistake prints its message alone; a bug keeps its traceback."""
    _open_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 still gets all there is
    sys.path.append("")  # so that `your.module:Class` beside the config is found, after everything installed
    try:
        app()
    except UserError as error:
        _say(f"Error: {error}")
        _leave(2)
    except InfraError as error:
        _say(f"Failure: {error}")
        _leave(1)
    except SystemExit as end:
        _leave(end.code)


def _leave(code: int | str | None) -> NoReturn:
    """Exit; at once where a model is still in code of its own, to which the interpreter's end would be a crash."""
    if isinstance(code, int) and threading.active_count() > 1 and _is_computing():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _is_computing() -> bool:
    from tts.engine import THREAD

    return any(thread.name == THREAD for thread in threading.enumerate())


if __name__ == "__main__":
    main()
