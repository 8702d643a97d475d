"""A run's page as a test reads it: its markup as a browser would see it, and what its scripts get."""

import base64
import json
import re
import zlib
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

VOID = {"meta", "input", "br", "hr", "img", "link"}
HOSTILE = "</pre></details></section><script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>"
UNSEEN = "rtl \u202e nul \x00 surrogate \ud800 zero\u200bwidth esc \x1b[31m end"


class Reader(HTMLParser):
    """What a browser would see: text, elements and attributes; an element closed out of order is an error.

    `text` is without scripts and styles, `scripts` are by their id, or by their place where they have none.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text, self.tags = "", Counter[str]()
        self.attributes: list[tuple[str, str | None]] = []
        self.scripts: dict[str, str] = {}
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs
        if tag == "script":
            self.last = dict(attrs).get("id") or str(len(self.scripts))
            self.scripts[self.last] = ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[self.last] += data
        elif not self.open or self.open[-1] != "style":
            self.text += data


def unpacked(text: str) -> Any:
    """What `page._packed` packed."""
    return json.loads(zlib.decompress(base64.b64decode(text)))


class Page(Reader):
    """A written page with what its scripts get: the index, and each problem's candidates by its id."""

    def __init__(self, path: Path) -> None:
        self.html = path.read_text(encoding="utf-8")
        super().__init__(self.html)
        self.source = json.loads(self.scripts["source"])
        self.index = unpacked(self.scripts["data"])
        groups = [self._group(path, number) for number in range(self.index["problems"][-1]["group"] + 1)]
        found = [one for group in groups for one in group]
        self.problems = dict(zip((p["id"] for p in self.index["problems"]), found, strict=True))

    def _group(self, path: Path, number: int) -> Any:
        if self.source["folder"] is None:
            return unpacked(self.scripts[f"group-{number}"])
        text = (path.parent / self.source["folder"] / f"{number}.js").read_text()
        (token, own, packed) = re.fullmatch(r'ttsGroup\("(\w+)",(\d+),"([\w+/=]+)"\)\n', text).groups()  # type: ignore[union-attr]
        assert (token, int(own)) == (self.source["token"], number)
        return unpacked(packed)

    def programs(self, name: str, run: int = 0) -> list[Any]:
        """Of each candidate of a problem, its program as the page has it, by the candidate's index."""
        held = self.problems[name]["runs"][run]
        return [held["programs"][one["program"]] for one in held["candidates"]]
