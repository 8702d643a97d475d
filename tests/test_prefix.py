"""Packs and blocks: every row once, within the budget, each shared prefix run once."""

import math

from hypothesis import given
from hypothesis import strategies as st

from tts.footprint import LONGEST_OWN
from tts.score._prefix import Row, blocks, common_prefix, families, packs, unique

tokens = st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple)
groups = st.lists(st.lists(tokens, max_size=8), max_size=6).map(
    lambda found: [unique(((str(g), i), row) for i, row in enumerate(rows)) for g, rows in enumerate(found)]
)
budgets = st.integers(1, 60)


@given(groups, budgets)
def test_every_row_is_in_one_pack_and_in_one_block(found: list[list[Row]], budget: int) -> None:
    rows = sorted((row for group in found for row in group), key=lambda row: row.owners)
    for plan in (packs(found, budget), blocks(found, budget)):
        assert sorted((row for batch in plan for row in batch.rows), key=lambda row: row.owners) == rows


@given(groups, budgets)
def test_only_a_single_row_exceeds_the_budget(found: list[list[Row]], budget: int) -> None:
    for plan in (packs(found, budget), blocks(found, budget)):
        assert all(batch.tokens <= budget or len(batch.rows) == 1 for batch in plan)


@given(groups, budgets)
def test_packs_run_each_prefix_once_and_nothing_twice(found: list[list[Row]], budget: int) -> None:
    assert sum(pack.tokens for pack in packs(found, budget)) == sum(family.cost for family in families(found))


@given(groups, budgets)
def test_the_rows_of_a_batch_share_its_tokens(found: list[list[Row]], budget: int) -> None:
    for batch in (*packs(found, budget), *blocks(found, budget)):
        assert len(batch.shares) == len(batch.rows)
        assert math.isclose(math.fsum(batch.shares), batch.tokens)
        assert all(share > 0 for share in batch.shares)


@given(groups, budgets)
def test_a_family_that_is_split_goes_on_in_the_next_pack(found: list[list[Row]], budget: int) -> None:
    made = list(packs(found, budget))
    for pack in made:
        assert all(part.opens for part in pack.parts[1:])
        assert not any(part.continues for part in pack.parts[:-1])
    for one, following in zip(made, [*made[1:], None], strict=False):
        if one.parts[-1].continues:
            assert following is not None
            first = following.parts[0]
            assert not first.opens
            shared = one.parts[-1].rows[0].tokens[: first.shared]
            assert all(row.tokens[: first.shared] == shared for row in first.rows)
        elif following is not None:
            assert following.parts[0].opens


@given(st.lists(tokens, min_size=1, max_size=8))
def test_the_common_prefix_is_the_longest_that_leaves_each_row_a_token(rows: list[tuple[int, ...]]) -> None:
    length = common_prefix(rows)
    assert len({row[:length] for row in rows}) == 1
    assert all(len(row) > length for row in rows)
    if all(len(row) > length + 1 for row in rows):
        assert len({row[: length + 1] for row in rows}) > 1


def test_a_row_much_longer_than_the_prefix_runs_alone() -> None:
    short, other, long = Row((1, 2), ()), Row((1, 3), ()), Row((1, 4) * LONGEST_OWN, ())
    assert [(family.shared, family.rows) for family in families([[short, other, long]])] == [
        (1, (short, other)),
        (0, (long,)),
    ]
    assert [family.shared for family in families([[short, long]])] == [0]


def test_equal_rows_are_run_once_for_all_their_owners() -> None:
    assert unique([(("p", 0), [1, 2]), (("p", 1), [3]), (("p", 2), [1, 2])]) == [
        Row((1, 2), (("p", 0), ("p", 2))),
        Row((3,), (("p", 1),)),
    ]
