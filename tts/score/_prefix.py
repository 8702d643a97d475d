"""Which tokens are run, and with which others: rows of one group share their longest common prefix, and packs of
families fit a token budget.

Pure arithmetic on token lists: no tensor and no model. A pack is laid out without padding, so its size in tokens is
what its forward pass costs; a block is what a model that cannot run packs takes instead.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tts.footprint import LONGEST_OWN
from tts.types import Key


@dataclass(frozen=True, slots=True)
class Row:
    """One token sequence to score, and every candidate that it is: the same program twice is run once."""

    tokens: tuple[int, ...]
    owners: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """Rows that begin with the same `shared` tokens, longest first. `shared` is less than any row's length, so that
    each row has a last token of its own.
    """

    shared: int
    rows: tuple[Row, ...]

    @property
    def cost(self) -> int:
        """Tokens to run when the prefix is run once."""
        return self.shared + sum(len(row.tokens) - self.shared for row in self.rows)


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of a family that run together. `opens`: the prefix is run too, else its keys and values were kept by
    the pack before. `continues`: the next pack goes on with the family, so they are to be kept.
    """

    shared: int
    rows: tuple[Row, ...]
    opens: bool
    continues: bool


@dataclass(frozen=True, slots=True)
class Pack:
    """What one forward pass runs. Only the first part may not open, only the last may continue."""

    parts: tuple[Part, ...]

    @property
    def rows(self) -> list[Row]:
        """The rows in the order of the parts."""
        return [row for part in self.parts for row in part.rows]

    @property
    def tokens(self) -> int:
        """How many tokens are run."""
        return sum(p.shared * p.opens + sum(len(row.tokens) - p.shared for row in p.rows) for p in self.parts)

    @property
    def shares(self) -> list[float]:
        """Each row's part of those tokens, parallel to `rows`: its own, and of a prefix that is run, as much as every
        other row of the part.
        """
        return [
            len(row.tokens) - part.shared + part.shared * part.opens / len(part.rows)
            for part in self.parts
            for row in part.rows
        ]


@dataclass(frozen=True, slots=True)
class Block:
    """Rows, longest first, that run padded to one length."""

    rows: tuple[Row, ...]

    @property
    def tokens(self) -> int:
        """How many tokens are run, padding included."""
        return len(self.rows) * len(self.rows[0].tokens)

    @property
    def shares(self) -> list[float]:
        """Each row's part of those tokens."""
        return [float(len(self.rows[0].tokens))] * len(self.rows)


@dataclass(frozen=True, slots=True)
class Rated:
    """A row's logit, and what it took: tokens that were run, and its part of a forward pass, None where not known."""

    row: Row
    value: float
    tokens: float
    passes: float | None


def unique(tokens: Iterable[tuple[Key, Sequence[int]]]) -> list[Row]:
    """Rows without repetition, in the order in which they first come."""
    owners: dict[tuple[int, ...], list[Key]] = {}
    for key, row in tokens:
        owners.setdefault(tuple(row), []).append(key)
    return [Row(row, tuple(keys)) for row, keys in owners.items()]


def common_prefix(rows: Sequence[tuple[int, ...]]) -> int:
    """Length of the longest prefix that all rows have, leaving each at least its last token."""
    low, high = min(rows), max(rows)  # in lexicographic order, what these two share all others share
    limit = min(map(len, rows)) - 1
    return next((i for i in range(limit) if low[i] != high[i]), max(limit, 0))


def families(groups: Iterable[Sequence[Row]]) -> list[Family]:
    """One family for each group of two rows or more, longest rows first; all lone and very long rows in a last one
    that shares nothing.
    """
    found: list[Family] = []
    lone: list[Row] = []
    for rows in filter(None, groups):
        shared = common_prefix([row.tokens for row in rows])
        kin = [row for row in rows if len(row.tokens) - shared <= LONGEST_OWN]
        if len(kin) > 1:
            found.append(Family(shared, _by_length(kin)))
        else:
            kin = []
        lone += [row for row in rows if row not in kin]
    found.sort(key=lambda family: len(family.rows[0].tokens), reverse=True)
    return found + ([Family(0, _by_length(lone))] if lone else [])


def _by_length(rows: Sequence[Row]) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=lambda row: (-len(row.tokens), row.tokens)))


def packs(groups: Iterable[Sequence[Row]], budget: int) -> Iterator[Pack]:
    """Packs of at most `budget` tokens, the rows of a group sharing their prefix. A pack of a single row may be larger;
    a family that fits a pack is not split.
    """
    parts: list[Part] = []
    room = budget
    for family in families(groups):
        if parts and room < family.cost <= budget:
            yield Pack(tuple(parts))
            parts, room = [], budget
        start = 0
        while start < len(family.rows):
            count = _fitting(family, start, room, at_least=not parts)
            if count:
                end = start + count
                parts.append(Part(family.shared, family.rows[start:end], start == 0, end < len(family.rows)))
                room -= Pack((parts[-1],)).tokens
                start = end
            if start < len(family.rows):
                yield Pack(tuple(parts))
                parts, room = [], budget
    if parts:
        yield Pack(tuple(parts))


def blocks(groups: Iterable[Sequence[Row]], budget: int) -> Iterator[Block]:
    """Blocks of similar length of at most `budget` tokens; one that holds a single row may be larger."""
    block: list[Row] = []
    for row in _by_length([row for rows in groups for row in rows]):
        if block and (len(block) + 1) * len(block[0].tokens) > budget:
            yield Block(tuple(block))
            block = []
        block.append(row)
    if block:
        yield Block(tuple(block))


def _fitting(family: Family, start: int, room: int, at_least: bool) -> int:
    """How many rows from `start` on fit the room; at least one if `at_least`."""
    left = room - (family.shared if start == 0 else 0)
    count = 0
    for row in family.rows[start:]:
        left -= len(row.tokens) - family.shared
        if left < 0:
            break
        count += 1
    return max(count, int(at_least))
