"""How likely is each candidate answered with, when k of n are drawn and a rule that is no order chooses? Exactly.

Two rules have a closed form: the class of the greatest worth, where a class's worth depends on how many of it were
drawn (`plurality`), and a draw in proportion to weights (`softmax`). Both are sums over all C(n, k) subsets without
forming one. Pure numpy; knows neither pools nor selectors. Cost grows with n to the third power or so: callers draw
subsets instead where n is above `LARGEST`.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from tts.metrics import Floats

LARGEST = 128  # of n; beyond it a closed form costs more than what it saves
STEP = 0.25  # of the trapezoidal rule in the logarithm: its error is about exp(-pi^2 / STEP), 1e-17
FLAT = 50.0  # beyond it exp(-exp(x)) is 0
LEFT, RIGHT = 32.0, 3.75  # where the integrand is below 1e-14 and 1e-18 of its mass
NEVER = 40.0  # of a difference of logits: a chance of exp(-40), 4e-18, for each of at most LARGEST
NODES = 1024  # held at once: n + 1 arrays of nodes x k, twice

Kind = tuple[float, ...]  # a class: its worth if 1, 2, ... of its members are drawn


def plurality(classes: Sequence[Kind], idle: int, n: int, ks: Sequence[int]) -> Floats:
    """(G, K): the chance that each class is worth most among those drawn, when k of n candidates are drawn.

    Class g has `len(classes[g])` members and is worth `classes[g][x - 1]` if x of them are drawn, nothing if none is.
    Classes of equal worth share the win in proportion to their members that are drawn. `idle` candidates belong to no
    class; if classes and idle are fewer than n, the others may not be drawn at all, and their subsets are in the
    denominator only, as are subsets without a class.

    Per value v of worth, the subsets in which class g is worth v and none is worth more have the generating function

        (1 + z)^idle * integral over u from 0 to 1 of B'_g(z, u) * the product over h != g of (A_h(z) + B_h(z, u)) du

    with A the terms C(m, x) z^x of a class worth less than v, B the terms C(m, x) z^x u^x of one worth v itself, and B'
    the derivative of B in u: u counts the drawn members of classes that tie, and the integral of x u^(x - 1) u^t is the
    share x / (x + t). It is a polynomial in u, so that Gauss-Legendre nodes are exact. Every term is positive: nothing
    cancels.
    """
    top = max(ks)
    kinds = Counter(classes)
    total = {kind: np.zeros(top + 1) for kind in kinds}
    for value in sorted({worth for kind in kinds for worth in kind[:top]}):
        for kind, ways in _ways_at(value, kinds, idle, top).items():
            total[kind] += ways
    subsets = np.array([float(math.comb(n, k)) for k in ks])
    return np.array([total[kind][list(ks)] / subsets for kind in classes]).reshape(len(classes), len(ks))


def _ways_at(value: float, kinds: Mapping[Kind, int], idle: int, top: int) -> dict[Kind, Floats]:
    """Kind -> (top + 1,): by k, how many subsets a class of the kind wins with this very worth, ties shared. Members
    are counted in the greatest `unit` that divides all the numbers that tie, which leaves shares as they are.
    """
    never = {kind: count for kind, count in kinds.items() if max(kind) < value}
    active = {kind: count for kind, count in kinds.items() if kind not in never}
    winners = [kind for kind in active if value in kind[:top]]
    unit = math.gcd(*(x for kind in winners for x in _drawn(kind, value)))
    tied = sum(active[kind] * _drawn(kind, value)[-1] for kind in winners)
    nodes, shares = _unit_nodes((min(tied, top) // unit - 1) // 2 + 1)
    free = idle + sum(len(kind) * count for kind, count in never.items())
    start = np.tile(_binomials(free, top), (len(nodes), 1))
    found = {}
    for winner in winners:
        ways = start
        for kind, count in active.items():
            for _ in range(count - (kind == winner)):
                ways = _times(ways, _terms(kind, value, nodes, unit))
        found[winner] = shares @ _times(ways, _won(winner, value, nodes, unit))
    return found


def _drawn(kind: Kind, value: float) -> list[int]:
    """How many members give a class this worth."""
    return [x for x, worth in enumerate(kind, 1) if worth == value]


def _terms(kind: Kind, value: float, nodes: Floats, unit: int) -> dict[int, Floats]:
    """x -> the coefficient of z^x in A + B at each node u."""
    terms = {0: np.ones(len(nodes))}
    for x, worth in enumerate(kind, 1):
        if worth <= value:
            terms[x] = math.comb(len(kind), x) * (nodes ** (x // unit) if worth == value else np.ones(len(nodes)))
    return terms


def _won(kind: Kind, value: float, nodes: Floats, unit: int) -> dict[int, Floats]:
    """x -> the coefficient of z^x in B' at each node u."""
    drawn = {x: x // unit for x in _drawn(kind, value)}
    return {x: math.comb(len(kind), x) * count * nodes ** (count - 1) for x, count in drawn.items()}


def _times(ways: Floats, terms: Mapping[int, Floats]) -> Floats:
    """Polynomials in z (nodes, top + 1) times others of few terms, cut off behind z^top."""
    width = ways.shape[1]
    product = np.zeros(ways.shape)
    for x, coefficients in terms.items():
        if x < width:
            product[:, x:] += coefficients[:, None] * ways[:, : width - x]
    return product


def _binomials(m: int, top: int) -> Floats:
    return np.array([float(math.comb(m, x)) for x in range(top + 1)])


@lru_cache(maxsize=256)
def _unit_nodes(count: int) -> tuple[Floats, Floats]:
    """Gauss-Legendre nodes and weights on [0, 1]: exact for polynomials of degree 2 * count - 1."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return (nodes + 1) / 2, weights / 2


def softmax(scores: Floats, idle: int, ks: Sequence[int], temperature: float = 1.0) -> Floats:
    """(m, K): the chance that each of m candidates is picked, when k of m + idle are drawn, and of those drawn among
    the m one is picked with a chance in proportion to exp(score / temperature).

    The mean over subsets S of w_i / sum of w over S has no finite form, but 1/W is the integral of exp(-sW) over s from
    0 to infinity, under which a subset's sum becomes a product, and a mean of products over subsets is an elementary
    symmetric mean, found by recursion. With s = exp(t) the integrand is a sum of Gumbel densities, for which the
    trapezoidal rule converges exponentially: the result is exact to about 1e-13. Scores may be of any size and sign:
    those that lie so far below the next higher one that they are never picked beside it are a group of their own, which
    is picked from where none above it is drawn.
    """
    n, order = len(scores) + idle, np.argsort(-scores)
    with np.errstate(over="ignore"):
        gaps = np.minimum(-np.diff(scores[order]) / temperature, NEVER)
    found = np.zeros((len(scores), len(ks)))
    for group in np.split(np.arange(len(scores)), np.flatnonzero(gaps == NEVER) + 1) if len(scores) else ():
        above, left = int(group[0]), n - int(group[0])
        logits = -np.concatenate([[0.0], np.cumsum(gaps[above : above + len(group) - 1])])
        reach = [column for column, k in enumerate(ks) if k <= left]
        inside = [ks[column] for column in reach]
        none_above = [math.comb(left, k) / math.comb(n, k) for k in inside]
        if inside:
            found[np.ix_(order[group], reach)] = _picked(logits, left - len(group), inside) * none_above
    return found


def _picked(logits: Floats, idle: int, ks: Sequence[int]) -> Floats:
    """`softmax` of one group, logits in descending order from 0."""
    size, n = len(logits), len(logits) + idle
    if logits[-1] == 0.0:
        some = [1 - math.comb(idle, k) / math.comb(n, k) for k in ks]
        return np.tile(np.array(some) / size, (size, 1))
    nodes = _log_nodes(logits, n)
    parts = np.array_split(nodes, math.ceil(len(nodes) / NODES))
    return np.asarray(sum(_integral(logits, idle, ks, part) for part in parts))


def _integral(logits: Floats, idle: int, ks: Sequence[int], nodes: Floats) -> Floats:
    """The part of `_picked` that is over some nodes."""
    size, n, top = len(logits), len(logits) + idle, max(ks)
    exponents = np.minimum(nodes + np.append(logits, np.full(idle, -math.inf))[:, None], FLAT)  # (n, nodes)
    factors = np.exp(-np.exp(exponents))
    density = np.exp(exponents[:size]) * factors[:size] * STEP
    before = _means(factors, min(top, n))
    after = _means(factors[::-1], min(top, n))
    found = np.empty((size, len(ks)))
    for i in range(size):
        for column, k in enumerate(ks):
            others = (before[i][:, :k] * after[n - 1 - i][:, k - 1 :: -1]) @ _shares(i, n - 1, k - 1)
            found[i, column] = k / n * float(density[i] @ others)
    return found


def _log_nodes(log_weights: Floats, n: int) -> Floats:
    """The points of one grid at which some subset's integrand is not negligible."""
    starts = np.floor((-log_weights - math.log(n) - LEFT) / STEP).astype(np.int64)
    width = math.ceil((math.log(n) + LEFT + RIGHT) / STEP) + 1
    return np.asarray(np.unique(starts[:, None] + np.arange(width)) * STEP)


def _means(factors: Floats, top: int) -> list[Floats]:
    """For j = 0..n, (nodes, top + 1): by i, the mean product over i-subsets of the first j factors, 0 for i > j."""
    count = factors.shape[1]
    means = [np.zeros((count, top + 1))]
    means[0][:, 0] = 1.0
    sizes = np.arange(1, top + 1)
    for j, factor in enumerate(factors, 1):
        last, following = means[-1], np.ones((count, top + 1))
        kept = np.maximum(j - sizes, 0) / j
        following[:, 1:] = kept * last[:, 1:] + np.minimum(sizes / j, 1.0) * factor[:, None] * last[:, :-1]
        following[:, j + 1 :] = 0.0
        means.append(following)
    return means


@lru_cache(maxsize=4096)
def _shares(first: int, n: int, drawn: int) -> Floats:
    """(drawn + 1,): the chance that a of `drawn` out of n are among the first so many."""
    subsets = math.comb(n, drawn)
    ways = (math.comb(first, a) * math.comb(n - first, drawn - a) for a in range(drawn + 1))
    return np.array([way / subsets for way in ways])
