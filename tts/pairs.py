"""Programs of which execution said which are right -> preference pairs to train a reward model on.

After CodeScaler's recipe (arXiv 2602.17684): on-policy programs, chosen = passes all tests, rejected = fails any. Both
programs of a pair are of one run, programs that differ only in words count once, each problem gives a few pairs, length
does not tell the chosen one, and problems that are alike are never on both sides of the split. Chooses only: runs,
files and execution are `pair_rows.py`'s.
"""

import itertools
import logging
import math
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property

from tts import prompts
from tts.errors import DataError, check_option, counted
from tts.likeness import does_nothing, groups, skeleton
from tts.seeds import seed_of

LOG = logging.getLogger("tts")
SAMPLED = "sampled"  # the source of a pair whose programs are both a model's
TRAIN, HELD_OUT = "train", "held-out"
UNSPLIT = ""  # of a pair from a file that says nothing of sides
Triple = tuple[str, str, str]  # a right program, a wrong one, the source of the two


@dataclass(frozen=True, slots=True)
class Material:
    """One problem's programs of one run, in the order in which they were sampled; `changed`, right ones each with a
    wrong one that was made of it, wrong by execution; and `pairs`, of files, which stay pairs. `without` is how many
    answers had no program that parses.
    """

    problem_id: str
    statement: str
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    changed: tuple[Triple, ...] = ()
    pairs: tuple[Triple, ...] = ()
    without: int = 0


@dataclass(frozen=True, slots=True)
class _Lessons:
    """One problem's pairs to choose from, of all runs and files; whether it has `right` and `wrong` programs at all."""

    problem_id: str
    statement: str
    right: bool
    wrong: bool
    sampled: tuple[Triple, ...]
    changed: tuple[Triple, ...]
    pairs: tuple[Triple, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """`chosen` passes all tests of the problem, `rejected` fails one. `source` is `sampled`, or what was done to
    `chosen` to get `rejected`; `split` is `train` or `held-out`.
    """

    problem_id: str
    statement: str
    chosen: str
    rejected: str
    source: str = SAMPLED
    split: str = TRAIN

    @property
    def length_sign(self) -> int:
        """1 if the chosen program is the longer one in characters, -1 if the rejected one is, 0 if neither is."""
        a, b = len(self.chosen), len(self.rejected)
        return (a > b) - (a < b)

    @property
    def stretch(self) -> float:
        """How far apart the lengths are: the absolute logarithm of their ratio."""
        return abs(math.log((len(self.chosen) + 1) / (len(self.rejected) + 1)))


@dataclass(frozen=True, slots=True)
class Rules:
    """How pairs are chosen: at most `per_problem` of each problem, of which at most `mutants` are of programs changed
    here (those of files are pairs like others); a share `held_out` of the problems is kept from training; `balance`
    makes the chosen program the longer one as often as not.
    """

    per_problem: int = 8
    held_out: float = 0.1
    mutants: int = 0
    balance: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        check_option(self.per_problem >= 1, "--per-problem", "at least 1", self.per_problem)
        check_option(0 <= self.held_out < 1, "--held-out", "from 0 up to but not 1", self.held_out)
        check_option(self.mutants >= 0, "--mutants", "0 or more", self.mutants)


@dataclass(frozen=True, slots=True)
class Dropped:
    """Programs and pairs that were left out, and why; `unparsable` counts answers without a program, too. Of files'
    pairs, `unfit` are alike others or have a program that does nothing or does not parse, `beyond` are more than are
    taken of a problem.
    """

    alike: int = 0
    trivial: int = 0
    unparsable: int = 0
    unbalanced: int = 0
    unfit: int = 0
    beyond: int = 0

    def __add__(self, other: "Dropped") -> "Dropped":
        return Dropped(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class Chosen:
    """The pairs, of `mixed` problems with both kinds among `problems`, and what was left out."""

    pairs: tuple[Pair, ...]
    problems: int
    mixed: int
    dropped: Dropped = field(default_factory=Dropped)

    @cached_property
    def splits(self) -> Mapping[str, list[Pair]]:
        """The pairs of each side."""
        return {name: [pair for pair in self.pairs if pair.split == name] for name in (TRAIN, HELD_OUT)}


def length_accuracy(pairs: Sequence[Pair]) -> float:
    """How often length alone tells the chosen program, by the better of "the longer" and "the shorter"; ties are half.
    NaN without pairs.
    """
    if not pairs:
        return math.nan
    longer = sum((pair.length_sign + 1) / 2 for pair in pairs) / len(pairs)
    return max(longer, 1 - longer)


def choose(materials: Sequence[Material], rules: Rules) -> Chosen:
    """Pairs of both sides, in the order of the problems. Raises DataError if no problem has both kinds, if all that
    have are alike, or if no balance can be had.
    """
    cleaned = [_cleaned(parts) for parts in _by_problem(materials)]
    dropped = sum((lost for _, lost in cleaned), Dropped())
    mixed = [one for one, _ in cleaned if one.pairs or one.sampled or one.changed]
    if not mixed:
        raise _nothing([one for one, _ in cleaned], dropped)
    sides = split([one.statement for one in mixed], rules.held_out, rules.seed)
    found: list[Pair] = []
    drawn: list[Pair] = []
    for side in (TRAIN, HELD_OUT):
        mine = [replace(p, split=side) for p in _of_side(mixed, sides, side, rules)]
        kept = balanced(mine, side) if rules.balance else mine
        dropped += Dropped(unbalanced=len(mine) - len(kept))
        found += kept
        drawn += mine
    dropped += Dropped(beyond=_untaken(mixed, drawn))
    order = {one.statement: i for i, one in enumerate(mixed)}
    return Chosen(tuple(sorted(found, key=lambda p: order[p.statement])), len(cleaned), len(mixed), dropped)


def _nothing(cleaned: Sequence[_Lessons], dropped: Dropped) -> DataError:
    """Why there is no pair, and what to do."""
    if not cleaned or (dropped.unfit and not any(one.right or one.wrong for one in cleaned)):
        return DataError(
            f"The files hold {counted(dropped.unfit, 'pair')}, and none can be used: its programs are alike, or one "
            "does nothing or does not parse. Give files with other pairs, or graded runs."
        )
    right, wrong = (sum(getattr(one, kind) for one in cleaned) for kind in ("right", "wrong"))
    return DataError(
        f"No problem has both a right and a wrong program of one run: of {counted(len(cleaned), 'problem')}, {right} "
        f"have a right one and {wrong} a wrong one that counts. Sample more per problem (generator.n), take problems "
        "that the model solves now and then, or add wrong programs made of right ones: --mutants 2."
    )


def _untaken(mixed: Sequence[_Lessons], drawn: Sequence[Pair]) -> int:
    """How many of the files' pairs were not drawn."""
    taken = {(pair.statement, pair.chosen, pair.rejected) for pair in drawn}
    return sum((one.statement, *programs) not in taken for one in mixed for *programs, _ in one.pairs)


def _of_side(mixed: Sequence[_Lessons], sides: Sequence[str], side: str, rules: Rules) -> list[Pair]:
    """The pairs of one side's problems; each problem begins with the kind that the ones before it had less of."""
    found: list[Pair] = []
    surplus = 0
    for one in (one for one, its in zip(mixed, sides, strict=True) if its == side):
        mine = _of_problem(one, surplus, rules)
        surplus += sum(pair.length_sign for pair in mine)
        found += mine
    return found


def _by_problem(materials: Iterable[Material]) -> list[list[Material]]:
    """Those with one statement together, in their order."""
    found: dict[str, list[Material]] = {}
    for one in materials:
        found.setdefault(one.statement, []).append(one)
    return list(found.values())


def _cleaned(parts: Sequence[Material]) -> tuple[_Lessons, Dropped]:
    """Without what does not parse, what is alike, and wrong programs that do nothing. A program that is alike a right
    one and wrong all the same (it keeps another name, say) is no lesson.
    """
    given = [pair for part in parts for pair in part.pairs]
    runs = [(_distinct(part.right), _distinct(part.wrong)) for part in parts]
    right, wrong = (_joined(kind) for kind in zip(*runs, strict=True))
    known = right.keys() | _distinct([chosen for chosen, _, _ in given]).keys()
    told = {text: code for text, code in wrong.items() if text not in known}
    useful = {text: code for text, code in told.items() if not does_nothing(code)}
    pairs = _lessons(given, known)
    programs = [code for part in parts for code in (*part.right, *part.wrong)]
    parsed = sum(map(prompts.parses, programs))
    lost = Dropped(
        alike=parsed - len(right) - len(told),
        trivial=len(told) - len(useful),
        unparsable=len(programs) - parsed + sum(part.without for part in parts),
        unfit=len(given) - len(pairs),
    )
    seen = known | useful.keys() | {rejected for _, rejected in pairs}
    changed = _fresh([two for part in parts for two in part.changed], seen)
    found = _Lessons(
        problem_id=parts[0].problem_id,
        statement=parts[0].statement,
        right=bool(right),
        wrong=bool(useful),
        sampled=tuple(_of_one_run(runs, right, useful)),
        changed=tuple(changed),
        pairs=tuple(pairs.values()),
    )
    return found, lost


def _joined(found: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """All of them, of one skeleton the first."""
    joined: dict[str, str] = {}
    for text, code in (item for one in found for item in one.items()):
        joined.setdefault(text, code)
    return joined


def _of_one_run(
    runs: Sequence[tuple[Mapping[str, str], Mapping[str, str]]], right: Mapping[str, str], wrong: Mapping[str, str]
) -> Iterator[Triple]:
    """Each right program with each wrong one that a run has beside it, all by their skeletons. Of two runs they would
    be told apart by which model wrote them: the better one's are the right ones.
    """
    for a, b in itertools.product(right, wrong):
        if any(a in mine and b in its for mine, its in runs):
            yield right[a], wrong[b], SAMPLED


def _lessons(pairs: Sequence[Triple], right: Collection[str]) -> dict[tuple[str, str], Triple]:
    """By their skeletons, each once, those pairs whose wrong program does something and is alike no right one."""
    found: dict[tuple[str, str], Triple] = {}
    for chosen, rejected, source in pairs:
        text, other = skeleton(chosen), skeleton(rejected)
        if text is not None and other is not None and other not in right and not does_nothing(rejected):
            found.setdefault((text, other), (chosen, rejected, source))
    return found


def _distinct(codes: Sequence[str]) -> dict[str, str]:
    """The first program of each skeleton."""
    found: dict[str, str] = {}
    for code in codes:
        text = skeleton(code)
        if text is not None:
            found.setdefault(text, code)
    return found


def _fresh(changed: Sequence[Triple], seen: Iterable[str]) -> list[Triple]:
    """Changed programs that are alike none of `seen` and none of each other."""
    known, found = set(seen), []
    for base, made, name in changed:
        text = skeleton(made)
        if text is not None and text not in known and not does_nothing(made):
            known.add(text)
            found.append((base, made, name))
    return found


def _of_problem(one: _Lessons, surplus: int, rules: Rules) -> list[Pair]:
    """Up to `per_problem` pairs, files' and sampled ones alike: of the nearest lengths first, the chosen program the
    longer one and the shorter one by turns, no program more often than need be. `surplus` is by how many pairs the
    longer is ahead so far.
    """
    draw = random.Random(seed_of(rules.seed, "pairs", one.problem_id))
    changed = [Pair(one.problem_id, one.statement, base, made, name) for base, made, name in one.changed]
    draw.shuffle(changed)
    taken = _by_turns(changed, min(rules.mutants, rules.per_problem), surplus)
    whole = [Pair(one.problem_id, one.statement, *two) for two in dict.fromkeys((*one.pairs, *one.sampled))]
    draw.shuffle(whole)
    room = rules.per_problem - len(taken)
    return _by_turns(whole, room, surplus + sum(pair.length_sign for pair in taken)) + taken


def _by_turns(pairs: list[Pair], count: int, surplus: int) -> list[Pair]:
    left = sorted(pairs, key=lambda pair: pair.stretch)
    uses: Counter[str] = Counter()
    found: list[Pair] = []
    while left and len(found) < count:
        wanted = -1 if surplus > 0 else 1
        best = min(left, key=lambda p: (uses[p.chosen] + uses[p.rejected], p.length_sign not in (wanted, 0)))
        left.remove(best)
        uses.update((best.chosen, best.rejected))
        surplus += best.length_sign
        found.append(best)
    return found


def balanced(pairs: Sequence[Pair], side: str) -> list[Pair]:
    """Without so many of those by whose lengths the chosen one could be told that both kinds are as many: those of the
    farthest lengths first, but a problem's last pair only once no other problem can spare one. If nothing would be
    left, raises DataError, and leaves what is held out as it is.
    """
    surplus = sum(pair.length_sign for pair in pairs)
    kind, excess = (1 if surplus > 0 else -1), max(0, abs(surplus) - 1)
    held = Counter(pair.statement for pair in pairs)
    farthest = sorted((i for i, p in enumerate(pairs) if p.length_sign == kind), key=lambda i: -pairs[i].stretch)
    spared: list[int] = []
    last: list[int] = []
    for i in farthest:
        (spared if held[pairs[i].statement] > 1 else last).append(i)
        held[pairs[i].statement] -= 1
    gone = set((spared + last)[:excess])
    kept = [pair for i, pair in enumerate(pairs) if i not in gone]
    if len(kept) > 1 or len(pairs) <= 1:
        return kept
    if side == HELD_OUT:  # few of the problems, so that chance does it
        LOG.warning(
            "The %d pairs of the side %r are left as they are, since next to none could be kept: length alone tells "
            "%.0f%% of them. Hold out more (--held-out), or others (--seed).",
            *(len(pairs), side, 100 * length_accuracy(pairs)),
        )
        return list(pairs)
    which = "longer" if pairs[0].length_sign > 0 else "shorter"
    raise DataError(
        f"In nearly all of the {len(pairs)} pairs of the side {side!r} the chosen program is the {which} one, so "
        "length alone would tell it and next to none can be kept. Sample more, or take them as they are: "
        "--no-balance."
    )


def sided(
    pairs: Sequence[Pair], held_out: float, seed: int, name: Callable[[Pair], str] = lambda pair: pair.statement
) -> list[Pair]:
    """The pairs with a side each: a group of problems that are alike or of one `name` has the side that any of its
    pairs was given, and groups without one are drawn as `split` says. Raises DataError for a group that was given both,
    or as `split`.
    """
    names = {pair.statement: name(pair) for pair in pairs}
    statements = list(names)
    group = dict(zip(statements, groups(statements, names=list(names.values())), strict=True))
    given: dict[int, Pair] = {}
    for pair in pairs:
        if pair.split != UNSPLIT:
            first = given.setdefault(group[pair.statement], pair)
            if first.split != pair.split:
                raise _leaks(first, pair)
    sides = {first: pair.split for first, pair in given.items()}
    drawn = _drawn(statements, list(group.values()), sides, held_out, seed)
    side = dict(zip(statements, drawn, strict=True))
    return [replace(pair, split=side[pair.statement]) for pair in pairs]


def _leaks(one: Pair, other: Pair) -> DataError:
    same = "the same problem" if one.statement == other.statement else "one alike, directly or by others,"
    return DataError(
        f"Problem {one.problem_id!r} is given the side {one.split!r}, and {same} as {other.problem_id!r} the side "
        f"{other.split!r}, so training would see what is held out. Make one file of all, which draws the sides anew: "
        "`tts pairs FILE... --out pairs.jsonl`."
    )


def split(statements: Sequence[str], held_out: float, seed: int) -> list[str]:
    """The side of each problem: groups of problems that are alike are drawn as long as each brings what is held out
    nearer to a share `held_out` of the problems; at least one group is on each side. Raises DataError if all are alike.
    """
    return _drawn(statements, groups(statements), {}, held_out, seed)


def _drawn(
    statements: Sequence[str], group: Sequence[int], given: Mapping[int, str], held_out: float, seed: int
) -> list[str]:
    """As `split`; `group` has the position of the first statement of each one's group, `given` some groups' sides."""
    sizes = Counter(first for first in group if first not in given)
    order = sorted(sizes, key=lambda first: seed_of(seed, "split", statements[first]))
    held = _held({first: sizes[first] for first in order}, held_out, set(given.values())) if held_out else ()
    sides = {**dict.fromkeys(order, TRAIN), **dict.fromkeys(held, HELD_OUT), **given}
    return [sides[first] for first in group]


def _held(sizes: Mapping[int, int], held_out: float, known: Collection[str]) -> list[int]:
    """Which groups are held out, given their sizes in the order of the draw and which sides there are already."""
    held: list[int] = []
    count, total = 0, sum(sizes.values())
    aim = held_out * total
    for first, size in sizes.items():
        if count + size < total and count + size - aim <= aim - count:
            held.append(first)
            count += size
    if sizes and not held and HELD_OUT not in known:
        if len(sizes) == 1 and TRAIN not in known:
            raise DataError(
                f"All {counted(total, 'problem')} with both kinds of program are alike, so none can be held out "
                "without leaking. Add runs on other problems, or hold none out: --held-out 0."
            )
        held = [min(sizes, key=lambda first: sizes[first])]
        count = sizes[held[0]]
    if abs(count - aim) >= 1:
        LOG.warning(
            "%d of %s are held out, not %.1f: those that are alike are on one side, the most of them %d.",
            *(count, counted(total, "problem"), aim, max(sizes.values())),
        )
    return held
