"""The nouns: what a run is made of. Frozen data with no behaviour beyond a key or a view.

Three facts about a candidate are expensive and are stored once: its text (`Candidate`), what a model thinks of it
(`Score`) and whether it is right (`Grade`). A `Selection` is free and is recomputed. Nothing here loads a model, runs a
program or touches a file.
"""

import hashlib
import marshal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

UNPARSABLE = "unparsable"  # the extraction of a candidate that came with code that does not parse
ERRATA = "errata"  # the tag of a problem whose verdicts are known not to be fair; its value is the kind of fault
MARSHAL = 2  # the last version of the format in which equal values have equal bytes
Key = tuple[str, int]  # (problem id, index): which candidate
RANDOM, ORACLE = BASELINES = "random", "oracle"  # the curves that stand beside every selector
JsonValue = Any  # null, bool, int, float, str, list or dict with string keys


def token_count(told: object) -> int | None:
    """A number of tokens as a server or a plug-in tells it; None where it is none, which no counter would take."""
    return told if type(told) is int and 0 <= told < 2**63 else None


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message; `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a number may be off: by `absolute`, or by `relative` times the expected one, whichever is more."""

    absolute: float
    relative: float


@dataclass(frozen=True, slots=True)
class Stdin:
    """A test of a whole program: what it reads and what it must print. A tolerance of None leaves it to the grader, and
    so do `seconds` of None, the processor time that the benchmark's own grader allows.
    """

    input: str
    output: str
    tolerance: Tolerance | None = None
    seconds: float | None = None

    @property
    def asked(self) -> tuple[str, str]:
        """What is read and printed, however that is compared: equal for two tests that ask the same."""
        return self.input, self.output


@dataclass(frozen=True, slots=True)
class Call:
    """A test of one function: `entry_point(*args)` must return a value equal to `returns`.

    `entry_point` is a name or, in parentheses, an expression of a function over the program's names, such as
    `(lambda x: set(f(x)))`: it is the program that evaluates it, so that what comes of it is as much a claim.

    `strict` is for benchmarks whose own graders execute programs as they are and compare as Python does: names that a
    program does not import are not there, a tuple is not a list, and no class `Solution` holds the function.
    """

    entry_point: str
    args: tuple[JsonValue, ...]
    returns: JsonValue
    tolerance: Tolerance | None = None
    strict: bool = False
    seconds: float | None = None

    @property
    def asked(self) -> tuple[str, bytes]:
        """The call and the value, however that is compared: equal for two tests that ask the same. Bytes, as 1 is not
        True here, and a list has no hash.
        """
        return self.entry_point, marshal.dumps((self.args, self.returns), MARSHAL)


@dataclass(frozen=True, slots=True)
class Check:
    """A test that takes code: `code` defines `check(f)`, which must return without raising.

    It runs apart from the program, whose function `entry_point` its `f` calls through messages of base types. `strict`
    is as in a call, of the program's names; `seconds` are for all calls together.
    """

    code: str
    entry_point: str
    strict: bool = False
    seconds: float | None = None

    @property
    def asked(self) -> tuple[str, str]:
        """As of a call."""
        return self.entry_point, self.code


Run = Stdin | Call  # what a program can be run on
Test = Run | Check


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the candidates of one problem are drawn where that differs from the generator's own options; None leaves an
    option as it is. `max_tokens` of a candidate; `stop` strings end one.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """What a model, a scorer and a selector may see. Hidden tests are not here: only `grade.py` asks for them.

    `messages` are put to the model as a chat; without any, the model continues `statement` as it stands. `digest`
    identifies the benchmark's row, hidden tests included, so that a changed benchmark is noticed. `sampling` is None in
    a run, where all problems are sampled alike, and is not stored.
    """

    id: str
    statement: str
    messages: tuple[Message, ...]
    public_tests: tuple[Test, ...] = ()
    starter_code: str = ""
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    digest: str = ""
    sampling: Sampling | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One sampled completion of a problem.

    `code` is None where no program could be extracted; `extraction` names the rule that fired (see `prompts.py`).
    `logprob` is the mean log probability per generated token under the unmodified model, in nats. `finish` is why
    sampling ended: "stop" (end of text or a stop string), "length" (max_tokens reached) or another word of the
    server's. `truncated` says that the text looks cut off: it ends in an open fence or an open thought.
    """

    problem_id: str
    index: int
    text: str
    code: str | None = None
    extraction: str = "none"
    prompt_tokens: int | None = None
    tokens: int | None = None
    logprob: float | None = None
    finish: str = "stop"
    truncated: bool = False

    @property
    def key(self) -> Key:
        """(problem id, index): what identifies a candidate within a run."""
        return self.problem_id, self.index

    @property
    def valid(self) -> bool:
        """Whether there is a program and it parses; ready-made programs are taken as they are, parsing or not."""
        return self.code is not None and self.extraction != UNPARSABLE


@dataclass(frozen=True, slots=True)
class Score:
    """A scorer's guess about one candidate. `value` None means "not scored", says why, and is not 0.

    `tokens` is how many a model ran for it, `passes` its part of the forward passes in which it ran with others; what
    several candidates share is divided among them. None is not known, or no model.
    """

    problem_id: str
    index: int
    value: float | None
    why: str = ""
    tokens: float | None = None
    passes: float | None = None

    @property
    def key(self) -> Key:
        """(problem id, index) of the candidate."""
        return self.problem_id, self.index


class Verdict(StrEnum):
    """What execution says of a candidate. A failure of our own machinery is no verdict: it raises."""

    PASSED = "passed"
    WRONG_ANSWER = "wrong_answer"
    RUNTIME_ERROR = "runtime_error"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT_LIMIT = "output_limit"
    NO_CODE = "no_code"


@dataclass(frozen=True, slots=True)
class Grade:
    """The truth about one program on one problem's public and hidden tests; selectors never see it.

    `seconds` is the CPU time and `wall_seconds` the wall time of all tests up to the first failure, `peak_mib` the most
    memory that one of them took; `tests` is the number there are, `passed` those passed before the first failure.
    `detail` says what went wrong. `stderr`, the end of what was written there, `got`, the beginning of a wrong answer,
    and `diff`, how it differs, are of a failing public test only: nothing here tells what a hidden test gives or
    expects; `public` says whether the failing one is. `lcb_verdict` is the verdict under LiveCodeBench's own
    comparison, None where nobody asked for it.
    """

    problem_id: str
    program: str
    verdict: Verdict
    seconds: float
    tests: int
    passed: int
    detail: str = ""
    wall_seconds: float = 0.0
    peak_mib: float = 0.0
    stderr: str = ""
    diff: str = ""
    lcb_verdict: Verdict | None = None
    got: str = ""
    public: bool = False

    @property
    def failed_test(self) -> int | None:
        """The index of the test that failed, from 0; None if all passed or nothing was run."""
        return None if self.verdict in (Verdict.PASSED, Verdict.NO_CODE) else self.passed


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one program did, all of it claims of an untrusted process: `outputs` is a canonical output for each input
    (the public tests' first, then those mutated from them), None where it failed. `passed` says of each public test
    whether it passed, `written` of each test that a model wrote; both are empty in runs that did not ask.
    """

    outputs: tuple[str | None, ...]
    passed: tuple[bool, ...] = ()
    written: tuple[bool, ...] = ()

    @property
    def ran(self) -> bool:
        """Whether the program gave an output for at least one input."""
        return any(output is not None for output in self.outputs)


@dataclass(frozen=True, slots=True)
class Pool:
    """One problem's candidates, in parallel tuples of length n, as a selector sees them.

    `scores` are of the scorer that the selector is used with, `all_scores` of every scorer of the run by its label.
    `behaviours` is empty unless a selector of the run declared `needs = ("behaviours",)`; an entry is None for a
    candidate without code. `memo` is where selectors keep what they worked out of this very pool, by a name of their
    own, so that the next one need not; it is no part of the pool's value.
    """

    problem: Problem
    candidates: tuple[Candidate, ...]
    scores: tuple[Score, ...]
    behaviours: tuple[Behaviour | None, ...] = ()
    all_scores: Mapping[str, tuple[Score, ...]] = field(default_factory=dict, hash=False)
    memo: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.candidates)

    def take(self, positions: Sequence[int]) -> "Pool":
        """The pool as if only the candidates at these positions had been sampled."""
        return Pool(
            self.problem,
            tuple(self.candidates[i] for i in positions),
            tuple(self.scores[i] for i in positions),
            tuple(self.behaviours[i] for i in positions) if self.behaviours else (),
            {label: tuple(scores[i] for i in positions) for label, scores in self.all_scores.items()},
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """The chosen position in a pool, or None to abstain, and why."""

    position: int | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a stopping policy says of a problem: so many candidates it should have before the policy is asked again. As
    many as there are, or fewer, means to stop, and `why` says why: the first `wanted` of them are what counts.

    `answer` is the position of the candidate that the policy has settled on; None leaves the choice to a selector.
    `at_most` is how many are worth drawing until it is asked again, where it knows that more would be waste; None where
    it does not.
    """

    wanted: int
    why: str = ""
    answer: int | None = None
    at_most: int | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """What a selector that prunes would have saved: scores of so many, and runs of a program on a public test."""

    scores: int
    of_scores: int
    tests: int
    of_tests: int


def program_hash(code: str) -> str:
    """The identity of a program's text: the first 32 hex digits of its SHA-256.

    Lone surrogates, which a tokenizer can emit, are hashed as they are rather than refused.
    """
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()[:32]
