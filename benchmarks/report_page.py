"""How long does a page of a large run take to open in Chromium, to filter, and to open a problem? And how large is it?

A made-up run is stored, `tts report` is timed on it, and the page is opened from the disk by a headless Chromium, each
time in a browser of its own. Seconds to open end when the list of problems is there and the curves are drawn; seconds
to filter, when the browser has painted the new list; to open a problem, when its candidates are painted. Goal: at most
3 seconds to open 1,055 problems of 64 candidates. Prints a table; writes results/report_page.json.

    python benchmarks/report_page.py
    python benchmarks/report_page.py --problems 164 --n 16
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _results import save
from _stored_run import make
from playwright.sync_api import Page, sync_playwright

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
DRAWN = "html[data-ready=yes] #curves .main-svg"  # a selector: the page's policy forbids evaluating a condition often
# What a change takes until it is painted: the second frame after it begins once the first has been shown.
CHANGED = """
async ([field, value]) => {
  const begun = performance.now();
  const changed = document.querySelector("#filter").elements[field];
  changed.value = value;
  changed.dispatchEvent(new Event("input", { bubbles: true }));
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  return (performance.now() - begun) / 1000;
}
"""
OPEN = """
async place => {
  const begun = performance.now();
  const problem = document.querySelectorAll('.problem')[place];
  problem.open = true;
  while (problem.querySelector('.candidate') === null) await new Promise(done => requestAnimationFrame(done));
  await new Promise(done => requestAnimationFrame(done));
  return (performance.now() - begun) / 1000;
}
"""


def once(page: Page, path: Path) -> dict[str, float]:
    """Seconds of one visit."""
    begun = time.perf_counter()
    page.goto(path.as_uri())
    page.wait_for_selector(DRAWN, state="attached")
    seconds = {"open": time.perf_counter() - begun}
    seconds["filter"] = page.evaluate(CHANGED, ["text", "medium"])
    seconds["sort"] = page.evaluate(CHANGED, ["sort", "hard"])
    seconds["open a problem"] = page.evaluate(OPEN, 1)
    seconds["open the next"] = page.evaluate(OPEN, page.locator(".problem").count() - 1)
    seconds["heap MB"] = page.evaluate("performance.memory.usedJSHeapSize / 1e6")
    return seconds


def visits(path: Path, rounds: int) -> list[dict[str, float]]:
    """Each round in a browser that has seen nothing."""
    found = []
    with sync_playwright() as driver:
        for _ in range(rounds):
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            found.append(once(browser.new_page(), path))
            browser.close()
    return found


def written(folder: Path) -> dict[str, Any]:
    """What `tts report` takes, and what it leaves."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "tts.cli", "report", str(folder)], check=True, stdout=subprocess.DEVNULL)
    beside = list((folder / "report_files").glob("*.js"))
    return {
        "seconds": time.perf_counter() - begun,
        "page_mb": (folder / "report.html").stat().st_size / 1e6,
        "files_beside": len(beside),
        "beside_mb": sum(file.stat().st_size for file in beside) / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=1055)
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to keep the run, and find it again; default: nowhere")
    parser.add_argument("--name", default="report_page", help="results/<name>.json")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:
        run = given.folder or Path(temporary) / "run"
        if not run.exists():
            make(run, given.problems, given.n)
        report = written(run)
        found = visits(run / "report.html", given.rounds)
    print(f"{given.problems} problems x {given.n} candidates; load before: {load:.1f}")
    print("tts report: {seconds:.1f} s; report.html {page_mb:.1f} MB".format(**report), end="")
    print("; {files_beside} files beside it, {beside_mb:.1f} MB".format(**report))
    print(f"{'':16} median    least     most")
    for what in found[0]:
        values = [one[what] for one in found]
        print(f"{what:16} {statistics.median(values):6.3f}   {min(values):6.3f}   {max(values):6.3f}")
    save(given.name, {"problems": given.problems, "n": given.n, "load": load, "report": report, "visits": found})


if __name__ == "__main__":
    main()
