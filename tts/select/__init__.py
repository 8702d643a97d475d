"""Pool -> Selection: one file per strategy."""

from tts.select._subsets import earned, ignores_scores, odds, throws

__all__ = ["earned", "ignores_scores", "odds", "throws"]
