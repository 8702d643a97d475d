"""Problems of our own to train the embedded scorer on: small tasks, each as a function and as a program that reads and
prints, in LiveCodeBench's row format. What is expected comes of the reference in this file.

None is a problem of `mini`, HumanEval or MBPP's test part in other words: they were read against each other, no
reference meets the tests of one of theirs but by coincidence (`met`, which the recipe asks), and `written` leaves out,
besides, what is alike one of their statements in its words.
"""

import itertools
import json
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts.likeness import alike, shingles
from tts.types import Call, Test
from tts.writing import replacing

TESTS, PUBLIC = 14, 2
MORE = 400  # draws among which rare answers are looked for
LETTERS = "abcdeilmnorstuvAEMTS   "


@dataclass(frozen=True)
class Task:
    """A task: its name, what to compute of the named arguments, and a reference."""

    name: str
    about: str
    arguments: dict[str, str]
    reference: Callable[..., Any]

    @property
    def listed(self) -> bool:
        """Whether it returns a list, of which a line of output would not say how it is to be written."""
        return isinstance(self.reference(*_given(self, 0)[0]), list)


def _draw(kind: str, draw: random.Random) -> Any:
    if kind == "int":
        return draw.choice([0, 1, draw.randint(-9, 9), draw.randint(-500, 500)])
    if kind == "nat":
        return draw.choice([0, 1, draw.randint(2, 9), draw.randint(10, 400)])
    if kind == "pos":
        return draw.choice([1, draw.randint(2, 9), draw.randint(10, 60)])
    if kind == "str":
        return "".join(draw.choice(LETTERS) for _ in range(draw.randint(1, 14))).strip() or "a"
    return [draw.randint(-9, 20) for _ in range(draw.randint(1, 8))]


KINDS = {"int": "int", "nat": "int", "pos": "int", "str": "str", "list": "list[int]"}
LINES = {
    "int": "an integer", "nat": "an integer that is not negative", "pos": "an integer above zero",
    "str": "a text", "list": "integers with blanks between them",
}  # fmt: skip


def _t(name: str, about: str, reference: Callable[..., Any], **arguments: str) -> Task:
    return Task(name, about, arguments, reference)


TASKS = (
    _t("minutes_of", "how many minutes h hours and m minutes are", lambda h, m: 60 * h + m, h="nat", m="nat"),
    _t("sign_of", "-1, 0 or 1, as x is below, at or above zero", lambda x: (x > 0) - (x < 0), x="int"),
    _t("upper_text", "the text with every letter in upper case", lambda text: text.upper(), text="str"),
    _t("longest_word", "the longest word of the text, of equals the first",
       lambda text: max(text.split(), key=len), text="str"),
    _t("initials", "the first letters of the words, joined", lambda text: "".join(w[0] for w in text.split()),
       text="str"),
    _t("mean_floor", "the sum of all numbers divided by how many there are, rounded down",
       lambda values: sum(values) // len(values), values="list"),
    _t("running_totals", "for each place the sum of the numbers up to it",
       lambda values: [sum(values[: i + 1]) for i in range(len(values))], values="list"),
    _t("unique_in_order", "the numbers without repetitions, each where it was first",
       lambda values: list(dict.fromkeys(values)), values="list"),
    _t("ends_equal", "whether the first and the last number are equal", lambda values: values[0] == values[-1],
       values="list"),
    _t("alternating_sum", "the first number minus the second plus the third and so on",
       lambda values: sum(values[::2]) - sum(values[1::2]), values="list"),
    _t("first_half", "the first half of the numbers, rounded down", lambda values: values[: len(values) // 2],
       values="list"),
    _t("divisors_of", "all divisors of n, in rising order", lambda n: [d for d in range(1, n + 1) if n % d == 0],
       n="pos"),
    _t("halvings", "how often n can be halved, rounding down, until it is 0", lambda n: n.bit_length(), n="nat"),
    _t("seconds_as_clock", "s seconds as minutes, a colon and two digits of seconds",
       lambda s: f"{s // 60}:{s % 60:02d}", s="nat"),
    _t("fizz_word", "fizz if n is divisible by 3, buzz if by 5, fizzbuzz if by both, else n as text",
       lambda n: "fizz" * (n % 3 == 0) + "buzz" * (n % 5 == 0) or str(n), n="pos"),
    _t("collatz_steps", "how many steps it takes from n to 1, halving an even number and tripling an odd one plus one",
       lambda n: _collatz(n), n="pos"),
    _t("number_sign_text", "the words positive, negative or zero, whichever x is",
       lambda x: "zero" if x == 0 else "positive" if x > 0 else "negative", x="int"),
    _t("half_of", "half of n, rounded down", lambda n: n // 2, n="nat"),
    _t("below_square", "the square of x, minus 1", lambda x: x * x - 1, x="int"),
    _t("three_times_more", "three times x, plus 1", lambda x: 3 * x + 1, x="int"),
    _t("mean_of_two", "the sum of a and b divided by 2, rounded down", lambda a, b: (a + b) // 2, a="int", b="int"),
    _t("farther_from_zero", "whichever of a and b is farther from zero, and a if both are as far",
       lambda a, b: a if abs(a) >= abs(b) else b, a="int", b="int"),
    _t("fence_length", "the perimeter of a rectangle with sides a and b", lambda a, b: 2 * (a + b), a="pos", b="pos"),
    _t("days_of", "how many days w weeks and d days are", lambda w, d: 7 * w + d, w="nat", d="nat"),
    _t("cents_of", "how many cents d dollars and c cents are", lambda d, c: 100 * d + c, d="nat", c="nat"),
    _t("hours_of", "how many full hours m minutes hold", lambda m: m // 60, m="nat"),
    _t("celsius_of", "f degrees Fahrenheit in degrees Celsius, rounded down", lambda f: (f - 32) * 5 // 9, f="int"),
    _t("with_tax", "p plus a tenth of p, rounded down", lambda p: p + p // 10, p="nat"),
    _t("money_left", "what is left of a after b is paid, and 0 if it is not enough", lambda a, b: max(0, a - b),
       a="nat", b="nat"),
    _t("boxes_needed", "how many boxes are needed to pack n things, s in each", lambda n, s: -(-n // s),
       n="nat", s="pos"),
    _t("in_between", "whether x is at least low and at most high", lambda x, low, high: low <= x <= high,
       x="nat", low="pos", high="pos"),
    _t("ends_in_five", "whether the last digit of n is 5", lambda n: n % 10 == 5, n="nat"),
    _t("is_square", "whether n is the square of a whole number", lambda n: math.isqrt(n) ** 2 == n, n="nat"),
    _t("root_floor", "the square root of n, rounded down", lambda n: math.isqrt(n), n="nat"),
    _t("up_to_ten", "the smallest multiple of 10 that is not below n", lambda n: -(-n // 10) * 10, n="nat"),
    _t("next_odd", "the smallest odd number above n", lambda n: n + 1 + n % 2, n="nat"),
    _t("capital_first", "the text with its first character in upper case and the others as they are",
       lambda text: text[0].upper() + text[1:], text="str"),
    _t("without_first", "the text without its first character", lambda text: text[1:], text="str"),
    _t("last_three", "the last three characters of the text, or all if there are fewer", lambda text: text[-3:],
       text="str"),
    _t("in_brackets", "the text between a round opening bracket and a round closing one", lambda text: f"({text})",
       text="str"),
    _t("joined_texts", "a, a plus sign, and b, with nothing between them", lambda a, b: f"{a}+{b}", a="str", b="str"),
    _t("longer_text", "the longer text of a and b, and a if they are equally long",
       lambda a, b: a if len(a) >= len(b) else b, a="str", b="str"),
    _t("is_longer", "whether the text a has more characters than the text b", lambda a, b: len(a) > len(b),
       a="str", b="str"),
    _t("shared_letters", "how many different characters are in both a and b", lambda a, b: len(set(a) & set(b)),
       a="str", b="str"),
    _t("first_word", "the first word of the text", lambda text: text.split()[0], text="str"),
    _t("place_of", "the place of the first x among the numbers, counted from 0, and -1 if it is not there",
       lambda values, x: values.index(x) if x in values else -1, values="list", x="pos"),
    _t("without_value", "the numbers without those that are equal to x",
       lambda values, x: [v for v in values if v != x],
       values="list", x="pos"),
    _t("ends_sum", "the first number plus the last number", lambda values: values[0] + values[-1], values="list"),
    _t("zero_there", "whether 0 is among the numbers", lambda values: 0 in values, values="list"),
    _t("nearest_to_zero", "the number that is nearest to zero, of equals the first",
       lambda values: min(values, key=abs),
       values="list"),
    _t("count_changes", "how often a number differs from the one before it",
       lambda values: sum(a != b for a, b in itertools.pairwise(values)), values="list"),
    _t("even_places_sum", "the sum of the numbers at the places 0, 2, 4 and so on", lambda values: sum(values[::2]),
       values="list"),
    _t("squares_up_to", "the squares of the whole numbers from 1 to n", lambda n: [i * i for i in range(1, n + 1)],
       n="pos"),
    _t("powers_of_two", "the powers of two that are at most n, in rising order",
       lambda n: [2**i for i in range(n.bit_length())], n="pos"),
    _t("is_power_of_two", "whether n is a power of two", lambda n: n & (n - 1) == 0, n="pos"),
    _t("hex_text", "n in hexadecimal, in lower case and without a prefix", lambda n: format(n, "x"), n="nat"),
    _t("smaller_first", "the two numbers a and b, the smaller one first", lambda a, b: sorted([a, b]),
       a="int", b="int"),
    _t("weekday_after", "the three letters of the weekday (Mon, Tue, Wed, Thu, Fri, Sat or Sun) n days after a Monday",
       lambda n: ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[n % 7], n="nat"),
)  # fmt: skip


def _collatz(n: int) -> int:
    steps = 0
    while n > 1:
        n, steps = n // 2 if n % 2 == 0 else 3 * n + 1, steps + 1
    return steps


COINCIDENCES = {  # other tasks, whose few tests a reference meets by chance
    ("nearest_to_zero", "45"), ("nearest_to_zero", "62"), ("ends_in_five", "72"),
    ("ends_in_five", "455"), ("fence_length", "112"), ("is_power_of_two", "188"),
    ("ends_equal", "201"), ("in_between", "327"), ("mean_of_two", "404"), ("ends_sum", "476"),
}  # fmt: skip
LARGEST = 10**6  # of numbers in tests that a reference is tried on: some count up to theirs
SEEN_TOO_RARELY = {  # by chance: what a program that is nearly right gets wrong
    "farther_from_zero": [[3, -3], [-7, 7], [4, 4], [-9, 9]],
    "fizz_word": [[15], [30], [45], [60]],
    "is_longer": [["ab", "cd"], ["a", "s"], ["one", "two"], ["a", "ab"]],
    "place_of": [[[4, 7, 7], 7], [[1, 2, 3], 3], [[9], 9], [[5, 5, 1], 5]],
    "without_value": [[[3, 1, 3], 3], [[5, 5], 5], [[2, 9, 2, 7], 2], [[8, 1], 8]],
}


def rows() -> list[dict[str, Any]]:
    """Each task as a function and, but for those that return lists, as a program, in LiveCodeBench's row format."""
    return [row for task in TASKS for row in (_functional(task), *([] if task.listed else [_stdin(task)]))]


def _given(task: Task, more: int) -> list[list[Any]]:
    """Different arguments as they are drawn, those of 4 * TESTS draws and of so many more."""
    draw = random.Random(task.name)
    given = [[_draw(kind, draw) for kind in task.arguments.values()] for _ in range(4 * TESTS + more)]
    return list({json.dumps(one): one for one in given}.values())


def _cases(task: Task) -> list[tuple[list[Any], Any]]:
    """The public ones as they are drawn; of the others as many as may be of each answer, and what chance leaves out."""
    given = _given(task, MORE)
    by_answer: dict[str, list[list[Any]]] = defaultdict(list)
    for one in given[PUBLIC:]:
        by_answer[json.dumps(task.reference(*one))].append(one)
    turns = itertools.chain.from_iterable(itertools.zip_longest(*by_answer.values()))
    private = [one for one in turns if one is not None][: TESTS - PUBLIC]
    chosen = [*given[:PUBLIC], *private, *SEEN_TOO_RARELY.get(task.name, [])]
    return [(one, task.reference(*one)) for one in chosen]


def _row(name: str, statement: str, starter: str, kind: str, cases: list[tuple[str, str]]) -> dict[str, Any]:
    tests = [{"input": given, "output": expected, "testtype": kind} for given, expected in cases]
    return {
        "question_id": f"own-{name}",
        "question_content": statement,
        "starter_code": starter,
        "public_test_cases": tests[:PUBLIC],
        "private_test_cases": tests[PUBLIC:],
    }


def _functional(task: Task) -> dict[str, Any]:
    cases = _cases(task)
    named = ", ".join(f"{name}: {KINDS[kind]}" for name, kind in task.arguments.items())
    returned = type(cases[0][1]).__name__.replace("list", "list[int]")
    examples = "".join(
        f"\nExample {i}: {task.name}({', '.join(map(repr, given))}) returns {expected!r}"
        for i, (given, expected) in enumerate(cases[:PUBLIC], 1)
    )
    row = _row(
        task.name.replace("_", "-"),
        f"Write a function {task.name} that returns {task.about}.\n{examples}",
        f"def {task.name}({named}) -> {returned}:\n    ",
        "functional",
        [("\n".join(map(json.dumps, given)), json.dumps(expected)) for given, expected in cases],
    )
    return row | {"metadata": {"func_name": task.name}}


def _stdin(task: Task) -> dict[str, Any]:
    cases = [("".join(_line(one) for one in given), _line(expected)) for given, expected in _cases(task)]
    named = ", then ".join(f"a line with {LINES[kind]}, {name}" for name, kind in task.arguments.items())
    returned = " Print yes or no." if isinstance(_cases(task)[0][1], bool) else ""
    statement = (
        f"Print {task.about}.{returned}\n\nInput\n{named[0].upper()}{named[1:]}.\n\nSample input\n{cases[0][0]}\n"
        f"Sample output\n{cases[0][1]}"
    )
    return _row(f"io-{task.name.replace('_', '-')}", statement, "", "stdin", cases)


def _line(value: Any) -> str:
    if isinstance(value, bool):
        return "yes\n" if value else "no\n"
    return (" ".join(map(str, value)) if isinstance(value, list) else str(value)) + "\n"


def met(name: str, tests: Iterable[Test]) -> list[str]:
    """The tasks whose references give what two or more tests of the problem `name` expect, and nothing else, so that
    they may be that problem in other words; those that are known not to be are left out.
    """
    calls = [test for test in tests if isinstance(test, Call)]
    found = [task.name for task in TASKS if len(calls) > 1 and all(_gives(task, call) for call in calls)]
    return [one for one in found if (one, name) not in COINCIDENCES]


def _gives(task: Task, call: Call) -> bool:
    """Whether the reference can be called so and gives what is expected."""
    if len(call.args) != len(task.arguments) or any(isinstance(n, int) and abs(n) > LARGEST for n in call.args):
        return False
    try:
        return bool(task.reference(*call.args) == call.returns)
    except (TypeError, ValueError, AttributeError, IndexError, KeyError, ZeroDivisionError):  # other kinds of arguments
        return False


def written(path: Path, apart: Iterable[str]) -> int:
    """Write the rows that are like none of the statements `apart`; how many."""
    others = [shingles(statement) for statement in apart]
    kept = [row for row in rows() if not any(alike(shingles(row["question_content"]), other) for other in others)]
    with replacing(path) as beside:
        beside.write_text("".join(json.dumps(row) + "\n" for row in kept))
    return len(kept)
