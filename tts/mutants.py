"""Further inputs to tell programs apart by, mutated from a problem's public ones. Nobody knows what is right on them.

A value keeps its type and its sign, a text its lines and the number of words in each, and of several lines the first,
which mostly says how many follow, stays. All the same a mutant may break a promise of the statement: programs then fail
or differ where they need not. Runs nothing.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tts.seeds import seed_of
from tts.types import Call, JsonValue, Run, Stdin, Test

TRIES = 20  # for each mutant that is wanted
FAR = 10  # how far a number moves at most


def mutants(tests: Sequence[Test], count: int, seed: int, problem_id: str) -> list[Run]:
    """Up to `count` inputs that differ from the tests' and from each other; fewer where the tests allow no more. What
    they expect means nothing.
    """
    sources = [test for test in tests if isinstance(test, Stdin | Call)]
    seen = {_identity(test) for test in sources}
    found: list[Run] = []
    for tried in range(count * TRIES if sources else 0):
        draw = random.Random(seed_of(seed, "mutant", problem_id, tried))
        mutant = mutated(sources[tried % len(sources)], draw)
        if _identity(mutant) not in seen:
            seen.add(_identity(mutant))
            found.append(mutant)
        if len(found) == count:
            break
    return found


def mutated(test: Run, draw: random.Random) -> Run:
    """The test with its input changed in one place."""
    if isinstance(test, Stdin):
        return Stdin(_text(test.input, draw), "")
    if not test.args:
        return replace(test, returns=None)
    place = draw.randrange(len(test.args))
    args = (*test.args[:place], _value(test.args[place], draw), *test.args[place + 1 :])
    return replace(test, args=args, returns=None)


def _identity(test: Run) -> str | tuple[str, bytes]:
    return test.input if isinstance(test, Stdin) else replace(test, returns=None).asked


def _value(value: JsonValue, draw: random.Random) -> JsonValue:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return _number(value, draw)
    if isinstance(value, str):
        return _word(value, draw, draw.choice([_replaced, _dropped, _doubled, _swapped]))
    if isinstance(value, list | tuple):
        return type(value)(_items(list(value), draw))
    if isinstance(value, dict) and value:
        key = draw.choice(sorted(value, key=repr))
        return {**value, key: _value(value[key], draw)}
    return value


def _number(value: Any, draw: random.Random) -> Any:
    """A number near it, or twice or half of it, of the same sign."""
    half = value // 2 if isinstance(value, int) else value / 2
    moved = draw.choice(
        [value + draw.randint(1, FAR), value - draw.randint(1, FAR), value + 1, value - 1, value * 2, half]
    )
    return abs(moved) if value >= 0 else -abs(moved)


def _items(items: list[Any], draw: random.Random) -> list[Any]:
    """Items of which one is changed, dropped or there twice, or two change places."""
    if not items:
        return items
    place, other = draw.randrange(len(items)), draw.randrange(len(items))
    match draw.randrange(4):
        case 0:
            return items[:place] + items[place + 1 :]
        case 1:
            return [*items[:place], items[place], *items[place:]]
        case 2:
            items[place], items[other] = items[other], items[place]
            return items
    return [*items[:place], _value(items[place], draw), *items[place + 1 :]]


def _text(text: str, draw: random.Random) -> str:
    """A text in which a word, not of the first of several lines, is another or has changed places in its line."""
    lines = text.split("\n")
    places = [i for i, line in enumerate(lines) if line.split()]
    if not places:
        return text
    line = draw.choice(places[1:] or places)
    words = lines[line].split(" ")
    filled = [i for i, word in enumerate(words) if word]
    place, other = draw.choice(filled), draw.choice(filled)
    if draw.random() < 0.3:
        words[place], words[other] = words[other], words[place]
    else:
        words[place] = _token(words[place], draw)
    return "\n".join([*lines[:line], " ".join(words), *lines[line + 1 :]])


def _token(word: str, draw: random.Random) -> str:
    """Another number, or a word of the same length."""
    if word.lstrip("-").isdecimal() and word.isascii():
        return str(_number(int(word[:4000]), draw))
    return _word(word, draw, draw.choice([_replaced, _swapped]))


def _word(word: str, draw: random.Random, change: Callable[[str, int, int], str]) -> str:
    """The word changed at a place; "a" where there is no character to change."""
    return change(word, draw.randrange(len(word)), draw.randrange(len(word))) if word else "a"


def _replaced(word: str, place: int, other: int) -> str:
    """A character becomes another of the word's, or its neighbour in the alphabet."""
    new = word[other]
    if new == word[place] and new.isascii() and new.isalnum():
        new = chr(ord(new) + 1) if new not in "zZ9" else chr(ord(new) - 1)
    return word[:place] + new + word[place + 1 :]


def _dropped(word: str, place: int, other: int) -> str:
    return word[:place] + word[place + 1 :]


def _doubled(word: str, place: int, other: int) -> str:
    return word[:place] + word[place] + word[place:]


def _swapped(word: str, place: int, other: int) -> str:
    letters = list(word)
    letters[place], letters[other] = letters[other], letters[place]
    return "".join(letters)
