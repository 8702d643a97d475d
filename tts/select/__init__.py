"""Pool -> Selection: one file per strategy."""

from tts.select._subsets import choose

__all__ = ["choose"]
