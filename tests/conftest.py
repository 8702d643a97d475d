"""Fixtures for all tests; what they are made of is in support.py, which tests import by name."""

from support import cli, disk, finished, small

__all__ = ["cli", "disk", "finished", "small"]
