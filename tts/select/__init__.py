"""Pool -> Selection: one file per strategy."""

from tts.select._subsets import choose, earned, ignores_scores, throws

__all__ = ["choose", "earned", "ignores_scores", "throws"]
