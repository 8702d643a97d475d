"""The exception tree. A `UserError` prints its message alone and exits 2; anything else is our bug or our machinery.

Every message says what was got, what is allowed, and what to do.
"""

import difflib
import errno
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

SHOWN = 25  # names in one message
LONGEST_SHOWN = 200  # characters of a value in one
OF_ONE_REQUEST = {400, 403, 413, 422}  # statuses of refusals; 403 is what an input that is flagged gets, too
MOST_COUNT = 2**62  # bytes or tokens; beyond a float's range no plan can be computed


class TtsError(Exception):
    """Base of every error that tts raises on purpose."""

    @property
    def of_one_request(self) -> bool:
        """Whether it is about what that one request says, so that others may well be answered."""
        return False


class UserError(TtsError):
    """Something a user can mend: the message is the remedy; no traceback is shown (exit status 2)."""


class ConfigError(UserError):
    """A config, an option or an override that cannot be used."""


class DataError(UserError):
    """A file of problems, candidates, pairs or samples that cannot be read; the message names the line."""


class ModelError(UserError):
    """A model that is missing, damaged or of the wrong kind."""


class RequestError(ModelError):
    """A request that its model cannot take."""

    @property
    def of_one_request(self) -> bool:
        """It is."""
        return True


class PromptError(RequestError):
    """A prompt that, with the longest answer to it, is over `longest` tokens, its model's limit."""

    def __init__(self, message: str, prompt_tokens: int, max_tokens: int, longest: int) -> None:
        super().__init__(message)
        self.prompt_tokens, self.max_tokens, self.longest = prompt_tokens, max_tokens, longest


class ChatError(RequestError):
    """A chat that the model's own template refuses, with what it `said`: two messages of the user's in a row, say."""

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.said = said


class UpstreamError(UserError):
    """A server that refused a request, with its HTTP `status` and what it `said`, or gave no usable answer (None).
    `of_route` where it has the model, but not what this request asks of it.
    """

    def __init__(self, message: str, status: int | None = None, said: str = "", of_route: bool = False) -> None:
        super().__init__(message)
        self.status, self.said, self.of_route = status, said, of_route

    @property
    def of_one_request(self) -> bool:
        """By its status, or since other routes may be there."""
        return self.status in OF_ONE_REQUEST or self.of_route


class PlanError(UserError):
    """Models that do not fit the memory there is; the message lists what would fit."""


class StoreError(UserError):
    """A run folder that cannot be opened, continued or written."""


class InfraError(TtsError):
    """Our own machinery failed after its retries (exit status 1). Never counted as a candidate's fault."""


class BrokenCheck(InfraError):
    """A benchmark's own test code that fails by itself, whatever the program; the message is the reason."""


class OutOfMemory(InfraError):
    """An engine that ran out of memory and died of it."""


# What torch says on CUDA, on the CPU, what its allocator says of the operating system, and Python's own.
OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "alloc_failed", "memoryerror")


def out_of_memory(said: str) -> bool:
    """Whether a message says that memory ran out, on whatever device."""
    return any(sign in said.lower() for sign in OUT_OF_MEMORY)


def unknown(got: str, where: str, allowed: Iterable[str]) -> str:
    """One sentence for a name that does not exist: what was got, the nearest name, and all there are."""
    names = sorted(allowed)
    near = difflib.get_close_matches(got, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"No {got!r} in {where}.{hint} There are: {', '.join(names[:SHOWN]) or 'none'}{more}."


def counted(count: int, noun: str) -> str:
    """A number and its noun: 1 row, 2 rows."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def shown(got: object) -> str:
    """A value in a message: cut where it is long, and a huge number by its size, which Python may refuse to print."""
    if isinstance(got, int) and abs(got) > 10**30:
        return f"a number of about {int(math.log10(abs(got))) + 1} digits"
    text = repr(got)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def check_option(fine: bool, name: str, allowed: str, got: object) -> None:
    """Raises ConfigError for an option's value that is not fine."""
    if not fine:
        raise ConfigError(f"{name} must be {allowed}, got {shown(got)}.")


def check_count(name: str, got: int | None) -> None:
    """Raises ConfigError for a number of things that is not from 1 to MOST_COUNT; None is left out."""
    check_option(got is None or got >= 1, name, "at least 1", got)
    check_option(got is None or got <= MOST_COUNT, name, f"at most {MOST_COUNT}", got)


@contextmanager
def explained(kind: type[UserError], what: str, remedy: str) -> Iterator[None]:
    """Turn the operating system's refusal into a user's error: what did not work, its reason, what to do."""
    try:
        yield
    except OSError as error:
        raise kind(f"{what}: {error.strerror or error}{_behind(error)}. {remedy}") from error


def _behind(error: OSError) -> str:
    """What may be behind a path that is not there, and is not seen from a shell whose prompt still names the folder."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return " (the working folder has been deleted)" * (error.errno == errno.ENOENT)
    return ""
