"""Pool -> Selection: one file per strategy."""

from tts.select._subsets import asked, earned, ignores_scores, odds, throws

__all__ = ["asked", "earned", "ignores_scores", "odds", "throws"]
