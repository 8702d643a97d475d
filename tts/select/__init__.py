"""Pool -> Selection: one file per strategy."""

from tts.select._subsets import choose, earned, throws

__all__ = ["choose", "earned", "throws"]
