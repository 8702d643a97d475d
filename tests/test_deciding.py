"""What a request is answered with where scorer, sandbox or time fail; programs that run beside the event loop."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from served import config, serving, until
from standins import PATIENCE_SECONDS

from tts import plugins
from tts.engine import Drawn, Rated
from tts.errors import InfraError
from tts.grade import GradeJob, Undecided
from tts.serving.deciding import Decider
from tts.serving.guard import FAILED
from tts.serving.observer import Observer
from tts.serving.order import Order, Wish
from tts.serving.refusals import Refusal
from tts.types import Behaviour, Candidate, Problem, Score, Stdin, program_hash

TESTED = Problem("p", "Double.", (), public_tests=(Stdin("1\n", "2\n"),))
PROGRAMS = ("a", "b", "b")


@dataclass
class Looking:
    """A grader: each program's behaviour is its own text; `breaks` as the machinery, `waits` for leave before each."""

    breaks: bool = False
    leave: threading.Semaphore | None = None
    begun: list[str] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)

    def behaviours(
        self, jobs: Iterable[GradeJob], stop: Callable[[], bool]
    ) -> Iterator[tuple[str, str, Behaviour | Undecided]]:
        try:
            for job in {job.code: job for job in jobs}.values():  # identical programs once, as a grader
                code = job.code or ""
                self.begun.append(code)
                if self.leave is not None:
                    self.leave.acquire(timeout=PATIENCE_SECONDS)
                if stop():
                    return
                found = Undecided("p", code, "no cell") if self.breaks else Behaviour((code,), (True,))
                yield job.problem_id, program_hash(code), found
        finally:
            self.closed.set()


def order_of(select: str, scorer: str = "") -> Order:
    """Three programs, of which the last two are the same and the first scores best, unless the scorer failed."""
    selector = plugins.build("selector", select)
    order = Order(Wish(TESTED, 3, 1, "s", select, selector, None))
    order.step()
    for index, code in enumerate(PROGRAMS):
        score = Score("p", index, None, FAILED + scorer) if scorer else Score("p", index, -float(index))
        order.hear([Drawn(Candidate("p", index, code, code, "given")), Rated("s", score)])
    order.step()
    return order


def decided(order: Order, fallback: str, grader: Looking, seconds: float = 30.0, late: Any = "") -> int | None:
    """The winner."""

    async def run() -> int | None:
        return await choice_of(order, fallback, grader, seconds, late)

    return asyncio.run(run())


async def choice_of(order: Order, fallback: str, grader: Looking, seconds: float, late: Any = "") -> int | None:
    made = None if not fallback else (fallback, plugins.build("selector", fallback))
    decider = Decider(config().serve, made, Observer(lambda: grader))
    choice = await decider.decide(order, late, asyncio.get_running_loop().time() + seconds)
    return None if choice.best is None else choice.best.index


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time also passes by being told so."""

    passed = 0.0

    def time(self) -> float:
        return super().time() + self.passed


@pytest.mark.parametrize(
    ("select", "fallback", "scorer", "breaks", "winner", "said"),
    [
        ("argmax", "", "", False, 0, ""),
        ("argmax", "", "", True, 0, ""),  # runs nothing
        ("majority", "", "", False, 1, ""),
        ("majority", "majority", "it died", False, 1, "scores are missing, which 'majority' does not look at"),
        ("majority", "", "it died", False, 1, "scores are missing"),
        ("argmax", "majority", "it died", False, 1, "chosen by the fallback selector 'majority'"),
        ("majority", "argmax", "", True, 0, "chosen by the fallback selector 'argmax', since A program could not"),
        ("majority", "argmax", "it died", True, 0, "chosen by the fallback selector 'argmax'"),
    ],
)
def test_what_failed_keeps_only_those_from_choosing_who_need_it(
    select: str, fallback: str, scorer: str, breaks: bool, winner: int, said: str
) -> None:
    order = order_of(select, scorer)
    assert decided(order, fallback, Looking(breaks)) == winner
    assert said in "; ".join(said for _, said in order.degraded) and bool(order.degraded) == bool(said)


@pytest.mark.parametrize(
    ("select", "fallback", "scorer", "breaks", "code", "word"),
    [
        ("argmax", "", "it died", False, "scorer_failed", "it died"),
        ("majority", "", "", True, "sandbox_failed", "no cell"),
        ("majority", "codet", "", True, "sandbox_failed", "no cell"),
        ("argmax", "majority", "it died", True, "sandbox_failed", "it died; for the fallback 'majority', A program"),
    ],
)
def test_it_is_a_refusal_where_nobody_can_choose(
    select: str, fallback: str, scorer: str, breaks: bool, code: str, word: str
) -> None:
    with pytest.raises(Refusal) as caught:
        decided(order_of(select, scorer), fallback, Looking(breaks))
    assert (caught.value.status, caught.value.code) == (503, code)
    assert word in caught.value.message


def test_at_the_deadline_the_choice_is_among_the_programs_that_were_run() -> None:
    grader = Looking(leave=threading.Semaphore(2))  # a and b, which is all there is
    assert decided(order_of("majority"), "", grader, seconds=PATIENCE_SECONDS) == 1


def test_what_is_not_run_before_the_deadline_is_done_without() -> None:
    grader, order = Looking(leave=threading.Semaphore(1)), order_of("majority")
    clock = Clock()

    async def run() -> int | None:
        task = asyncio.ensure_future(choice_of(order, "", grader, PATIENCE_SECONDS))
        while grader.begun != ["a", "b"]:  # so a is known
            await asyncio.sleep(0.01)
        clock.passed = 2 * PATIENCE_SECONDS
        try:
            return await task
        finally:
            grader.leave.release()  # so that the thread ends

    with asyncio.Runner(loop_factory=lambda: clock) as runner:
        assert runner.run(run()) == 0
    assert order.degraded == [("deadline", "the programs of 2 candidates were not run before the deadline")]


def test_once_the_deadline_has_passed_nothing_is_run() -> None:
    grader = Looking()
    with pytest.raises(Refusal, match="before enough programs were run") as caught:
        decided(order_of("majority"), "", grader, seconds=-1.0, late="deadline")
    assert (caught.value.status, grader.begun) == (504, [])
    order = order_of("majority")
    assert decided(order, "argmax", grader, seconds=-1.0, late="deadline") == 0
    assert "chosen by the fallback selector 'argmax'" in order.degraded[-1][1] and grader.begun == []


# Programs beside the event loop.


def candidates(codes: str) -> list[Candidate]:
    return [Candidate("p", index, code, code, "given") for index, code in enumerate(codes)]


async def given_up(work: Awaitable[None], ready: Callable[[], bool]) -> None:
    """Begin, and go once it is so and the work has come to where it waits."""
    task = asyncio.ensure_future(work)
    while not ready():
        await asyncio.sleep(0.01)
    for _ in range(STEPS):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


STEPS = 5  # of the event loop, in which whoever does not wait for a turn has begun its thread


def workers() -> list[str]:
    """The threads that the event loop has begun for what it does not run itself."""
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("asyncio_"))


def test_whoever_goes_stops_the_programs_and_lets_the_next_one_run_its_own() -> None:
    graders = [Looking(leave=threading.Semaphore(0)), Looking()]
    given = iter(graders)

    async def run() -> None:
        observer, seen = Observer(lambda: next(given), at_once=3), dict[str, Behaviour]()
        first = graders[0]
        await given_up(
            observer.observe(TESTED, candidates("abc"), dict[str, Behaviour]().update), lambda: first.begun != []
        )
        threads = workers()
        await given_up(observer.observe(TESTED, candidates("xyz"), seen.update), lambda: True)
        assert workers() == threads != []  # one who waits holds none
        second = asyncio.ensure_future(observer.observe(TESTED, candidates("de"), seen.update))
        await asyncio.sleep(0.05)
        assert not graders[1].begun and not first.closed.is_set()
        first.leave.release()
        await second
        assert first.closed.is_set() and first.begun == ["a"]
        assert seen.keys() == {program_hash("d"), program_hash("e")}

    asyncio.run(run())


def test_one_request_s_programs_keep_another_s_waiting_for_its_own_turn_only() -> None:
    grader = Looking(leave=threading.Semaphore(0))

    async def run() -> None:
        observer = Observer(lambda: grader, at_once=1)
        many = asyncio.ensure_future(observer.observe(TESTED, candidates("abc"), dict[str, Behaviour]().update))
        while not grader.begun:
            await asyncio.sleep(0.01)
        one = asyncio.ensure_future(observer.observe(TESTED, candidates("x"), dict[str, Behaviour]().update))
        await asyncio.sleep(0.05)
        for _ in range(4):
            grader.leave.release()
        await asyncio.gather(many, one)
        assert grader.begun == ["a", "x", "b", "c"]

    asyncio.run(run())


def test_what_is_known_before_the_machinery_fails_is_told() -> None:
    async def run() -> None:
        seen: dict[str, Behaviour] = {}
        observer = Observer(lambda: Looking(breaks=True))
        with pytest.raises(InfraError, match="no cell"):
            await observer.observe(TESTED, candidates("a"), seen.update)
        await Observer(Looking).observe(TESTED, candidates("ab"), seen.update)
        assert seen.keys() == {program_hash("a"), program_hash("b")}

    asyncio.run(run())


def test_the_deadline_covers_the_choice() -> None:
    """Each program takes a minute, in a real sandbox."""
    with serving(config(selectors=["majority"], deadline=3.0)) as served:
        tests = [{"input": "", "output": "x"}]
        answer = served.ask("slow programs", tts={"public_tests": tests})
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "sandbox_failed")
        assert answer.elapsed.total_seconds() < 60
        assert until(lambda: served.ask("hello").status_code == 200)  # whose deadline may pass on a machine that stalls
