"""Fixtures for all tests; what they are made of is in support.py, which tests import by name."""

import signal

from support import cli, disk, finished, small

__all__ = ["cli", "disk", "finished", "small"]

# A shell that starts tests in the background has them ignore Ctrl-C, and their child processes too.
signal.signal(signal.SIGINT, signal.default_int_handler)
