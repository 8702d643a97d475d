"""The HTML page of one or several runs: one file that opens from a disk, without a network.

The numbers are in it as text and tables; scripts draw the curves with plotly and show the candidates with highlight.js,
both of which are in the page. What the scripts read is compressed, so most runs are one file whole; of a large one the
candidates lie in a folder beside it, as scripts that a page of a disk may load. A page runs no other script, and
fetches nothing: its policy says so to the browser.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import markupsafe

from tts import certainty_report, cost_report, page_data, sentences
from tts.comparison import Comparison
from tts.findings import Findings
from tts.frontier import Frontier
from tts.types import BASELINES
from tts.wording import interval, marked_up, visible

if TYPE_CHECKING:
    import jinja2

INLINE = 6_000_000  # characters of compressed candidates in the page itself; with more they lie beside it
VENDORED = ("vendor/plotly-basic.min.js", "vendor/highlight.min.js")
SCRIPTS = ("text.js", "load.js", "charts.js", "candidates.js", "explorer.js", "main.js")
NO_MORE = markupsafe.Markup()


@dataclass(frozen=True, slots=True)
class Written:
    """A page that was written: its size, and the folder beside it with its size, None if there is none."""

    path: Path
    page_bytes: int
    folder: Path | None
    folder_bytes: int

    def __str__(self) -> str:
        beside = "" if self.folder is None else f", and {_mb(self.folder_bytes)} in {self.folder.name}/"
        return f"{self.path} ({_mb(self.page_bytes)}{beside})"


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


@dataclass(frozen=True, slots=True)
class Compared:
    """Several runs beside each other: at equal k, each with the first, and at equal cost."""

    comparisons: tuple[Comparison, ...]
    frontier: Frontier


def write_page(
    findings: Sequence[Findings],
    path: Path,
    more: markupsafe.Markup = NO_MORE,
    compared: Compared | None = None,
    inline: int = INLINE,
    curves: Sequence[str] = (),
) -> Written:
    """Write the page of some runs, with `more` sections of somebody else's and comparisons between them. Where the
    candidates take more than `inline` characters, a folder named after the page has them. `curves` names the selectors
    that are drawn at first, by default the best that differ. Raises OSError as a write does.
    """
    runs = page_data.shown(findings)
    packed, groups = [], []
    for number, group in enumerate(page_data.candidate_groups(runs)):
        packed.append(_packed(f"[{','.join(group)}]"))
        groups += [number] * len(group)
    index = page_data.index(runs, groups, None if compared is None else compared.frontier, curves)
    data = _packed(json.dumps(index, separators=(",", ":"), allow_nan=False))
    folder = path.with_name(f"{path.stem}_files")
    beside = sum(map(len, packed)) > inline
    source = {"token": hashlib.sha256(data.encode()).hexdigest()[:12], "folder": folder.name if beside else None}
    _remove_groups(folder)
    if beside:
        _write_groups(folder, source["token"] or "", packed)
    _write(path, runs, {"data": data, "source": source, "groups": [] if beside else packed}, more, compared)
    size = sum(file.stat().st_size for file in _groups(folder)) if beside else 0
    return Written(path, path.stat().st_size, folder if beside else None, size)


def _packed(text: str) -> str:
    """Text in plain letters: deflated, in base64. Whatever it held, it means nothing to a page."""
    return base64.b64encode(zlib.compress(text.encode(), 6)).decode()


def _groups(folder: Path) -> list[Path]:
    """The scripts in a page's folder that tts has written; a browser saves pages into folders of that name too."""
    return [file for file in folder.glob("*.js") if file.stem.isdecimal()]


def _remove_groups(folder: Path) -> None:
    for file in _groups(folder):
        file.unlink()
    with suppress(OSError):  # not there, or somebody else's files are in it
        folder.rmdir()


def _write_groups(folder: Path, token: str, packed: Sequence[str]) -> None:
    """Scripts, since a page of a disk may load nothing else; the token tells a page's own from another's."""
    folder.mkdir(exist_ok=True)
    for number, text in enumerate(packed):
        (folder / f"{number}.js").write_text(f'ttsGroup("{token}",{number},"{text}")\n', encoding="ascii")


def _write(
    path: Path,
    runs: Sequence[page_data.Shown],
    payload: Mapping[str, Any],
    more: markupsafe.Markup,
    compared: Compared | None,
) -> None:
    scripts = [markupsafe.Markup(script) for script in _scripts()]
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    environment = page_environment()
    environment.globals |= {"say": sentences, "interval": interval, "data": page_data, "baselines": BASELINES}
    environment.globals |= {"costs": cost_report, "sure": certainty_report}
    stream = environment.get_template("report.html.j2").stream(
        runs=runs,
        reports=[run.report for run in runs],
        scripts=scripts,
        allowed=markupsafe.Markup(hashes + " 'self' file:" * (payload["source"]["folder"] is not None)),
        more=more,
        compared=compared,
        payload=payload,
    )
    stream.enable_buffering(50)
    stream.dump(str(path), encoding="utf-8")


def _scripts() -> list[str]:
    """The libraries, each as it is but for what would end or confuse the element around it, then our own as one."""
    vendored = [_read(name) for name in VENDORED]
    own = "\n".join(_read(name) for name in SCRIPTS)
    scripts = [*vendored, f'"use strict";\n(() => {{\n{own}}})();\n']
    return [script.replace("<!--", r"\x3C!--").replace("</script", r"\x3C/script") for script in scripts]


def _read(name: str) -> str:
    return resources.files("tts").joinpath("web", name).read_text(encoding="utf-8")


def page_environment() -> "jinja2.Environment":
    """What makes pages of the templates in `web`: every printed value is escaped and made visible."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"code": _code}
    return environment


def _finalize(value: object) -> object:
    """Everything that a template prints passes here, so no expression can forget to make text visible."""
    return value if isinstance(value, markupsafe.Markup) else visible(str(value))


def _code(text: str) -> markupsafe.Markup:
    """Escaped text in which characters made visible stand out from the same escape written out."""
    return markupsafe.Markup(marked_up(str(markupsafe.escape(text))))


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
