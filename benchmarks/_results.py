"""Where benchmarks put what they measured: results/<name>.json with the hardware and the versions beside the
figures.
"""

import json
from pathlib import Path
from typing import Any

from tts import environment
from tts.jsonl import without_nan


def save(name: str, measured: dict[str, Any]) -> Path:
    """Write one benchmark's figures; the file's path."""
    path = Path(__file__).parent / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    facts = {"hardware": environment.hardware(), "versions": environment.versions(), "commit": environment.commit()}
    path.write_text(json.dumps(without_nan(facts | measured), indent=1) + "\n")
    print(f"saved {path}")
    return path
