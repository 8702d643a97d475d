"""Several runs of the same samples -> one: shards of a benchmark, whose facts are joined and nothing is done again.

What the store keeps of two runs where both have something is `store.py`'s. Samples nothing, grades nothing: what is
missing in the joined run is for `tts run`.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tts.analysis import Shards, missing_parts, stored_config, stored_shards
from tts.errors import StoreError, explained
from tts.store import Store, first_mismatch, open_for_reading, open_for_writing

OURS = ("cluster", "shard")  # keys of a config that were a part's own


@dataclass(frozen=True, slots=True)
class Merged:
    """What the joined run has, and what a user should know of it."""

    candidates: int
    problems: int
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """A run to be joined: its record, its problems as (position, number of the part, id), the shards that it has."""

    folder: Path
    meta: Mapping[str, Any]
    places: tuple[tuple[int, int, str], ...]
    shards: Shards


def merge(folders: Sequence[Path], to: Path) -> Merged:
    """Join runs in a new folder `to`, which is there once it has all of them. Raises StoreError for a folder that is no
    run, is in use, or does not fit the others.
    """
    _check_folders(folders, to)
    parts = [_read(folder, number) for number, folder in enumerate(folders)]
    _check_fit(parts)
    beside = to.with_name(f"{to.name}.merging")
    _clear(beside)
    try:
        found = _write(parts, beside, to)
        with explained(StoreError, f"{to} cannot be made", "Give another --to."):
            beside.rename(to)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return found


def _clear(beside: Path) -> None:
    """Remove what a merge left that was killed: it may be of other parts. Raises StoreError if one is at work there."""
    if beside.exists():
        with open_for_writing(beside), explained(StoreError, f"{beside} cannot be removed", "Remove it."):
            shutil.rmtree(beside)


def _write(parts: Sequence[_Part], folder: Path, to: Path) -> Merged:
    with open_for_writing(folder) as store:
        store.claim(parts[0].meta["fingerprint"])
        for part in parts:
            with open_for_writing(part.folder) as other:  # which nobody may be writing, and has this version's format
                store.absorb(other)
        order = dict.fromkeys(name for _, _, name in sorted(place for part in parts for place in part.places))
        store.arrange(list(order))
        store.set_meta(_joined([part.meta for part in parts]) | {"shards": sorted(_shards(parts)) or None})
        (folder / "config.yaml").write_text(stored_config(store).dump(), encoding="utf-8")
        return Merged(len(store.candidate_keys()), len(order), tuple(_remarks(parts, to)))


def _check_folders(folders: Sequence[Path], to: Path) -> None:
    resolved = [folder.resolve() for folder in folders]
    twice = next((one for i, one in enumerate(resolved) if one in resolved[:i]), None)
    if twice is not None:
        raise StoreError(f"{twice} is given twice. Give each run once.")
    if to.exists():
        raise StoreError(f"{to} is there already. Give a new --to, and all runs that are to be in it.")


def _read(folder: Path, number: int) -> _Part:
    with open_for_reading(folder) as store:
        if store.meta("fingerprint") is None:
            raise StoreError(f"{folder} has sampled nothing: its run stopped before it began. Leave it out.")
        config = stored_config(store)
        part = number if config.shard is None else config.shard.part
        places = tuple((i, part, problem.id) for i, problem in enumerate(store.problems()))
        return _Part(folder, _meta(store), places, stored_shards(store, config))


def _meta(store: Store) -> dict[str, Any]:
    return {key: store.meta(key) for key in store.meta_keys() if key != "schema"}


def _check_fit(parts: Sequence[_Part]) -> None:
    first = parts[0]
    for part in parts[1:]:
        mismatch = first_mismatch(first.meta["fingerprint"], part.meta["fingerprint"])
        if mismatch is not None:
            raise StoreError(
                f"{part.folder} was run with {mismatch.key} = {mismatch.given!r}, {first.folder} with "
                f"{mismatch.stored!r}. Samples of the two must not mix: join runs of one benchmark, prompt, generator "
                "and seed."
            )


def _shards(parts: Sequence[_Part]) -> Shards:
    """Those that the joined run has; none where it has the whole."""
    found = frozenset[tuple[int, int]]().union(*(part.shards for part in parts))
    return found if all(part.shards for part in parts) and missing_parts(found) else frozenset()


def _joined(metas: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The record of the whole: the first run's, but for what is of all."""
    peaks = [meta.get("peaks") or {} for meta in metas]
    stages = dict.fromkeys(stage for one in peaks for stage in one)
    return {
        **metas[0],
        "config": _joined_config([yaml.safe_load(meta["config"]) for meta in metas]),
        "timings": _joined_numbers([meta.get("timings") or {} for meta in metas], sum),
        "replaced": _joined_numbers([meta.get("replaced") or {} for meta in metas], sum),
        "peaks": {stage: _joined_numbers([one[stage] for one in peaks if stage in one], max) for stage in stages},
        "stops": _stops([meta["stops"] for meta in metas if meta.get("stops")]),
        "sessions": [session for meta in metas for session in meta.get("sessions") or []],
        "undecided": sorted({name for meta in metas for name in meta.get("undecided") or []}),
    }


def _joined_numbers(metas: Sequence[Mapping[str, float]], join: Callable[[Iterable[float]], float]) -> dict[str, float]:
    """By name, what `join` makes of the numbers of those that have one."""
    names = dict.fromkeys(name for meta in metas for name in meta)
    return {name: join(meta[name] for meta in metas if name in meta) for name in names}


def _stops(stops: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What a policy decided in each run, as in one."""
    if not stops:
        return None
    by_problem = {key: {k: v for one in stops for k, v in one[key].items()} for key in ("n_max", "decided")}
    return {**by_problem, "cancelled": sum(one["cancelled"] for one in stops)}


def _joined_config(configs: Sequence[Mapping[str, Any]]) -> str:
    """The first run's, without what made it a part: filters of the benchmark that differ, where it ran."""
    first = {key: value for key, value in configs[0].items() if key not in OURS}
    benchmark = first["benchmark"]
    alike = {
        key: value for key, value in benchmark.items() if all(one["benchmark"].get(key) == value for one in configs)
    }
    counts = [config["generator"]["n"] for config in configs]
    n = None if None in counts else max(counts)
    whole = {**first, "benchmark": alike, "generator": {**first["generator"], "n": n}}
    return yaml.safe_dump(whole, sort_keys=False)


def _remarks(parts: Sequence[_Part], to: Path) -> Iterator[str]:
    if missing := missing_parts(_shards(parts)):
        yield (
            f"None of these runs has {missing} of the benchmark (shard.part), so {to} is not the whole, and its report "
            f"says so. Join all parts, or `tts run CONFIG --folder {to}` does what is missing."
        )
    for key, what in (("grader", "graded with other limits or another version"), ("scorers", "scored otherwise")):
        odd = [str(part.folder) for part in parts if part.meta.get(key) != parts[0].meta.get(key)]
        if odd:
            yield (
                f"{', '.join(odd)} {'was' if len(odd) == 1 else 'were'} {what} than {parts[0].folder}: "
                f"`tts run CONFIG --folder {to}` does what is missing."
            )
