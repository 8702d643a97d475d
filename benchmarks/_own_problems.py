"""Problems of our own to train the embedded scorer on: small tasks, each as a function and as a program that reads and
prints, in LiveCodeBench's row format. What is expected comes of the reference in this file.

None is a problem of `mini`: `written` leaves out what is alike one of the statements that are kept from training.
"""

import itertools
import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts.likeness import alike, shingles
from tts.writing import replacing

TESTS, PUBLIC = 14, 2
LETTERS = "abcdeilmnorstuvAEMTS   "


@dataclass(frozen=True)
class Task:
    """A task: its name, what to compute of the named arguments, and a reference."""

    name: str
    about: str
    arguments: dict[str, str]
    reference: Callable[..., Any]


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
    _t("cube_of", "the cube of x", lambda x: x**3, x="int"),
    _t("last_digit", "the last decimal digit of n", lambda n: n % 10, n="nat"),
    _t("minutes_of", "how many minutes h hours and m minutes are", lambda h, m: 60 * h + m, h="nat", m="nat"),
    _t("product_of", "the product of all numbers", lambda values: _product(values), values="list"),
    _t("smaller_of", "the smaller one of a and b", lambda a, b: min(a, b), a="int", b="int"),
    _t("sign_of", "-1, 0 or 1, as x is below, at or above zero", lambda x: (x > 0) - (x < 0), x="int"),
    _t("first_letter", "the first character of the text", lambda text: text[0], text="str"),
    _t("upper_text", "the text with every letter in upper case", lambda text: text.upper(), text="str"),
    _t("swap_case", "the text with lower case turned into upper case and the reverse",
       lambda text: text.swapcase(), text="str"),
    _t("text_length", "how many characters the text has, blanks included", lambda text: len(text), text="str"),
    _t("count_capitals", "how many capital letters the text has",
       lambda text: sum(c.isupper() for c in text), text="str"),
    _t("longest_word", "the longest word of the text, of equals the first",
       lambda text: max(text.split(), key=len), text="str"),
    _t("initials", "the first letters of the words, joined", lambda text: "".join(w[0] for w in text.split()),
       text="str"),
    _t("without_vowels", "the text without the letters a, e, i, o, u, in either case",
       lambda text: "".join(c for c in text if c.lower() not in "aeiou"), text="str"),
    _t("every_other_letter", "every second character of the text, from the first on", lambda text: text[::2],
       text="str"),
    _t("starts_and_ends", "whether the text starts and ends with the same character",
       lambda text: text[0] == text[-1], text="str"),
    _t("distinct_letters", "how many different characters the text has", lambda text: len(set(text)), text="str"),
    _t("sorted_letters", "the characters of the text that are no blanks, in their alphabetical order",
       lambda text: "".join(sorted(text.replace(" ", ""))), text="str"),
    _t("words_backwards", "the words of the text in reverse order, with one blank between them",
       lambda text: " ".join(text.split()[::-1]), text="str"),
    _t("smallest_item", "the smallest number", lambda values: min(values), values="list"),
    _t("sum_of_squares_list", "the sum of the squares of all numbers", lambda values: sum(v * v for v in values),
       values="list"),
    _t("mean_floor", "the sum of all numbers divided by how many there are, rounded down",
       lambda values: sum(values) // len(values), values="list"),
    _t("keep_negative", "the negative numbers, in their order", lambda values: [v for v in values if v < 0],
       values="list"),
    _t("running_totals", "for each place the sum of the numbers up to it",
       lambda values: [sum(values[: i + 1]) for i in range(len(values))], values="list"),
    _t("differences_of", "the differences between each number and the one before it",
       lambda values: [b - a for a, b in itertools.pairwise(values)], values="list"),
    _t("unique_in_order", "the numbers without repetitions, each where it was first",
       lambda values: list(dict.fromkeys(values)), values="list"),
    _t("sorted_down", "the numbers from the largest to the smallest", lambda values: sorted(values, reverse=True),
       values="list"),
    _t("place_of_largest", "the place of the largest number, from 0, of equals the first",
       lambda values: values.index(max(values)), values="list"),
    _t("count_above", "how many numbers are greater than limit", lambda values, limit: sum(v > limit for v in values),
       values="list", limit="int"),
    _t("count_equal", "how often x is among the numbers", lambda values, x: values.count(x), values="list", x="int"),
    _t("all_different", "whether no number is there twice", lambda values: len(set(values)) == len(values),
       values="list"),
    _t("ends_equal", "whether the first and the last number are equal", lambda values: values[0] == values[-1],
       values="list"),
    _t("alternating_sum", "the first number minus the second plus the third and so on",
       lambda values: sum(values[::2]) - sum(values[1::2]), values="list"),
    _t("first_half", "the first half of the numbers, rounded down", lambda values: values[: len(values) // 2],
       values="list"),
    _t("clamped", "x, but low if it is below low and high if it is above high; low is at most high",
       lambda x, low, high: max(min(low, high), min(x, max(low, high))), x="int", low="pos", high="pos"),
    _t("remainder_of", "what is left when n is divided by d", lambda n, d: n % d, n="nat", d="pos"),
    _t("divisors_of", "all divisors of n, in rising order", lambda n: [d for d in range(1, n + 1) if n % d == 0],
       n="pos"),
    _t("is_prime_number", "whether n is prime", lambda n: n > 1 and all(n % d for d in range(2, n)), n="pos"),
    _t("greatest_divisor", "the greatest common divisor of a and b", lambda a, b: _gcd(a, b), a="pos", b="pos"),
    _t("least_multiple", "the least common multiple of a and b", lambda a, b: a * b // _gcd(a, b), a="pos", b="pos"),
    _t("binary_text", "n in binary, without leading zeros", lambda n: format(n, "b"), n="nat"),
    _t("ones_in_binary", "how many ones n has in binary", lambda n: n.bit_count(), n="nat"),
    _t("triangle_number", "the sum of 1, 2 and so on up to n, plus n", lambda n: n * (n + 1) // 2 + n, n="nat"),
    _t("sum_of_odd", "the sum of the odd numbers from 1 up to n", lambda n: sum(range(1, n + 1, 2)), n="nat"),
    _t("digits_reversed", "the number whose digits are those of n in reverse order",
       lambda n: int(str(n)[::-1]), n="nat"),
    _t("largest_digit", "the largest decimal digit of n", lambda n: max(map(int, str(n))), n="nat"),
    _t("halvings", "how often n can be halved, rounding down, until it is 0", lambda n: n.bit_length(), n="nat"),
    _t("seconds_as_clock", "s seconds as minutes, a colon and two digits of seconds",
       lambda s: f"{s // 60}:{s % 60:02d}", s="nat"),
    _t("fizz_word", "fizz if n is divisible by 3, buzz if by 5, fizzbuzz if by both, else n as text",
       lambda n: "fizz" * (n % 3 == 0) + "buzz" * (n % 5 == 0) or str(n), n="pos"),
    _t("collatz_steps", "how many steps it takes from n to 1, halving an even number and tripling an odd one plus one",
       lambda n: _collatz(n), n="pos"),
    _t("stretched_text", "the text with each character twice", lambda text: "".join(c * 2 for c in text), text="str"),
    _t("number_sign_text", "the words positive, negative or zero, whichever x is",
       lambda x: "zero" if x == 0 else "positive" if x > 0 else "negative", x="int"),
)  # fmt: skip


def _product(values: list[int]) -> int:
    found = 1
    for value in values:
        found *= value
    return found


def _gcd(a: int, b: int) -> int:
    while b:
        a, b = b, a % b
    return a


def _collatz(n: int) -> int:
    steps = 0
    while n != 1:
        n, steps = n // 2 if n % 2 == 0 else 3 * n + 1, steps + 1
    return steps


def rows() -> list[dict[str, Any]]:
    """Each task twice, in LiveCodeBench's row format."""
    return [row for task in TASKS for row in (_functional(task), _stdin(task))]


def _cases(task: Task) -> list[tuple[list[Any], Any]]:
    draw = random.Random(task.name)
    given = [[_draw(kind, draw) for kind in task.arguments.values()] for _ in range(4 * TESTS)]
    different = list({json.dumps(one): one for one in given}.values())[:TESTS]
    return [(one, task.reference(*one)) for one in different]


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


def written(path: Path, apart: Iterable[str]) -> int:
    """Write the rows that are like none of the statements `apart`; how many."""
    others = [shingles(statement) for statement in apart]
    kept = [row for row in rows() if not any(alike(shingles(row["question_content"]), other) for other in others)]
    with replacing(path) as beside:
        beside.write_text("".join(json.dumps(row) + "\n" for row in kept))
    return len(kept)
