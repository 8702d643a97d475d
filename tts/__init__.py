"""A test-time scaling engine for code models: sample N programs, rank them, and measure what the ranking is worth.

Importing this loads neither torch nor vllm; each is imported when something that needs it is used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tts.best_of import Answer, BestOfN

__version__ = "0.1.0"
__all__ = ["Answer", "BestOfN", "__version__"]


def __getattr__(name: str) -> Any:
    if name in ("Answer", "BestOfN"):
        from tts import best_of

        return getattr(best_of, name)
    raise AttributeError(f"module 'tts' has no attribute {name!r}")
