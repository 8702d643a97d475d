"""Fixtures for all tests; what they are made of is in support.py, which tests import by name."""

import signal
from collections import Counter

import pytest
from support import cli, disk, finished, small

__all__ = ["cli", "disk", "finished", "small"]

# A shell that starts tests in the background has them ignore Ctrl-C, and nohup the end of the terminal; their child
# processes would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)  # which goes on here, and is the default in what is executed


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest files first: those with engines, then those with the most tests. Workers are handed whole files in
    this order (`--no-loadscope-reorder`), and a slow one that came last would leave the others idle.
    """
    engines = Counter(item.path for item in items if item.get_closest_marker("engine"))
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (-engines[item.path], -tests[item.path]))
