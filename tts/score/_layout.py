"""A pack as tensors: its tokens end to end in one row, and the rectangles in which attention runs.

A rectangle is the rows of similar length of one part, over their prefix and themselves. Knows nothing of models.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from tts.score._prefix import Pack, Part, Row

SIMILAR = 0.75  # rows share a rectangle while the shortest has this share of the longest's length

KeysValues = tuple[torch.Tensor, torch.Tensor]  # (tokens, kv heads, head_dim) each


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Rows that begin at `prefix` (a slice of the pack; None for the held one), padded to the longest.

    A single row lies at `place` in the pack. Of several, `tokens` (count, width) says where each row's tokens lie, a
    row's last one repeated as padding; `filled` which places of the flattened rectangle are no padding; `targets` where
    in the pack those lie. `bias` (1, 1, width, prefix + width) is added to the attention scores; None where plain
    causal attention does.
    """

    prefix: slice | None
    bias: torch.Tensor | None
    place: slice | None = None
    tokens: torch.Tensor | None = None
    filled: torch.Tensor | None = None
    targets: torch.Tensor | None = None

    def read(self, states: torch.Tensor) -> torch.Tensor:
        """(tokens, heads, head_dim) of the pack -> (count, width, heads, head_dim)."""
        return states[self.tokens] if self.place is None else states[self.place][None]

    def write(self, found: torch.Tensor, out: torch.Tensor) -> None:
        """The reverse, padding left out."""
        if self.place is None:
            out[self.targets] = found.flatten(0, 1)[self.filled]
        else:
            out[self.place] = found[0]


@dataclass(slots=True)
class Layout:
    """A pack as tensors: `ids` and `positions` (1, tokens), `last` (rows,) the place of each row's last token.

    `held` has the keys and values, by layer, of a prefix that an earlier pack ran. Where a prefix of this pack, at
    `keep`, is wanted by the pack that follows, attention puts its keys and values in their place, layer by layer, so
    that no two prefixes are ever held.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    last: torch.Tensor
    rectangles: list[Rectangle]
    held: dict[int, KeysValues]
    keep: slice | None

    def take_held(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The held keys and values of a layer, replaced by those to keep: `keys` and `values` are the whole pack's."""
        before = self.held.get(layer, (None, None))
        if self.keep is not None:
            self.held[layer] = keys[self.keep].clone(), values[self.keep].clone()
        return before


def lay_out(pack: Pack, held: dict[int, KeysValues], scratch: int, device: torch.device, dtype: torch.dtype) -> Layout:
    """The tensors of a pack; `dtype` is that of the attention scores. A rectangle of several rows gathers at most
    `scratch` keys.
    """
    ids: list[int] = []
    positions: list[int] = []
    last: list[int] = []
    rectangles: list[Rectangle] = []
    keep = None
    for part in pack.parts:
        prefix = _append(ids, positions, part.rows[0], range(part.shared * part.opens))
        keep = _slice(prefix) if part.continues and prefix else keep
        places = [_append(ids, positions, row, range(part.shared, len(row.tokens))) for row in part.rows]
        last += [place[-1] for place in places]
        if prefix:
            rectangles.append(Rectangle(slice(0), None, _slice(prefix)))
        rectangles += _rectangles(part, prefix, places, scratch, torch.zeros(0, dtype=dtype, device=device))
    as_tensor = partial(torch.tensor, device=device)
    return Layout(as_tensor([ids]), as_tensor([positions]), as_tensor(last), rectangles, held, keep)


def _append(ids: list[int], positions: list[int], row: Row, part: range) -> range:
    """Lay a part of a row at the end: where in the pack it lies."""
    start = len(ids)
    ids += row.tokens[part.start : part.stop]
    positions += part
    return range(start, len(ids))


def _slice(place: range) -> slice:
    return slice(place.start, place.stop)


def _rectangles(
    part: Part, prefix: range, places: Sequence[range], scratch: int, like: torch.Tensor
) -> Iterator[Rectangle]:
    """The rectangles of a part's own tokens."""
    before = _slice(prefix) if part.opens or not part.shared else None
    bias = _bias(part.shared, len(places[0]), like)
    for rows in _similar(places, part.shared, scratch):
        width = len(rows[0])
        fitting = None if bias is None else bias[:, :, :width, : part.shared + width]
        if len(rows) == 1:
            yield Rectangle(before, fitting, _slice(rows[0]))
        else:
            yield Rectangle(before, fitting, None, *_indices(rows, width, like.device))


def _similar(places: Sequence[range], shared: int, scratch: int) -> Iterator[Sequence[range]]:
    """Cut places, longest first, into runs whose padding is little and whose keys fit the scratch."""
    start = 0
    for i, place in enumerate(places):
        longest = len(places[start])
        if i > start and (len(place) < SIMILAR * longest or (i - start + 1) * (shared + longest) > scratch):
            yield places[start:i]
            start = i
    yield places[start:]


def _indices(places: Sequence[range], width: int, device: torch.device) -> Iterator[torch.Tensor]:
    """`tokens`, `filled` and `targets` of a rectangle."""
    yield torch.tensor([[*place, *[place[-1]] * (width - len(place))] for place in places], device=device)
    yield torch.tensor([i * width + j for i, place in enumerate(places) for j in range(len(place))], device=device)
    yield torch.tensor([token for place in places for token in place], device=device)


def _bias(shared: int, width: int, like: torch.Tensor) -> torch.Tensor | None:
    """0 where the i-th own token may look (the prefix, and own tokens up to i), -inf elsewhere."""
    if shared == 0:
        return None
    bias = like.new_zeros(width, shared + width)
    bias[:, shared:].fill_(float("-inf")).triu_(1)
    return bias[None, None]
