"""pass@k beyond the n that was sampled, from how many of n were right: a beta-binomial fit. Pure numpy.

A problem's chance of a right sample is taken for a draw from Beta(a, b), so that its count of right ones is
beta-binomial; a and b maximise the likelihood over all problems. The problems that are solved already stay solved; one
with n wrong samples is solved by k - n more with the posterior's chance,

    1 - product over i from 0 to k-n-1 of (b + n + i) / (a + b + n + i).

So at k = n it is the share of problems solved, which pass@n is too. The interval is where a run on such problems that
is continued to k would lie: problems are resampled, the fit is made anew, and which of them are solved is drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tts.metrics import Floats, Ints, resampled_counts

LEAST, MOST = -9.0, 9.0  # of log a and log b: between one chance for all and all or nothing
ROUNDS = 60  # of Newton's method; it takes about ten
NEAR = 1e-3  # of a bound
SMALL_STEP = 1e-9
LONGEST = 2.0  # step, in log a and log b
FLATTEST = 1e-9  # curvature that is divided by
HALVINGS = 12


@dataclass(frozen=True, slots=True)
class Forecast:
    """pass@k expected at a k beyond n, with the ends of its interval."""

    k: int
    value: float
    low: float
    high: float


def forecast(
    n: ArrayLike, correct: ArrayLike, ks: Sequence[int], resamples: int = 500, level: float = 0.95, seed: int = 0
) -> list[Forecast]:
    """pass@k at each k from problems (P,) with `correct` right ones of `n`. ValueError for no problem, counts that
    cannot be, or a k below some n.
    """
    samples, right = np.broadcast_arrays(np.atleast_1d(np.asarray(n)), np.atleast_1d(np.asarray(correct)))
    if len(samples) == 0 or (right < 0).any() or (right > samples).any() or samples.min() < 1:
        raise ValueError("A forecast needs problems with 0 <= correct <= n and n >= 1.")
    if min(ks) < samples.max():
        raise ValueError(f"k must be at least n, got {min(ks)} with n = {samples.max()}: below it pass@k is exact.")
    kinds, counts = np.unique(np.stack([samples, right]), axis=1, return_inverse=True)[:2]
    of_kind = np.eye(kinds.shape[1])[counts.ravel()]  # (P, kinds): problems of equal n and c are one term
    drawn = np.vstack([rows @ of_kind for rows in resampled_counts(len(samples), resamples, seed)])
    weights = np.vstack([of_kind.sum(axis=0), drawn])
    still = _unsolved(kinds[0], kinds[1], fit(kinds[0], kinds[1], weights), ks)  # (1 + R, kinds, K)
    value = 1 - np.einsum("c,ck->k", weights[0], still[0]) / len(samples)
    left = np.random.default_rng(seed).binomial(drawn.astype(np.int64)[:, :, None], still[1:]).sum(axis=1)
    ends = np.quantile(1 - left / len(samples), ((1 - level) / 2, (1 + level) / 2), axis=0)
    rows = zip(ks, value, ends.T, strict=True)
    return [Forecast(k, float(mean), float(low), float(high)) for k, mean, (low, high) in rows]


def fit(n: Ints, correct: Ints, weights: Floats) -> Floats:
    """(R, 2): the a and b of greatest likelihood for each row of weights (R, kinds) of problems with `correct` of `n`.

    By Newton's method in log a and log b, with steps halved until the likelihood does not fall. The likelihood needs no
    gamma function: log B(a+c, b+n-c) / B(a, b) is a sum of log(a+i) over i < c, log(b+i) over i < n-c, and
    -log(a+b+i) over i < n.
    """
    steps = np.arange(int(n.max()))
    terms = [weights @ (count[:, None] > steps) for count in (correct, n - correct, n)]  # (R, max n) each
    at = np.zeros((len(weights), 2))
    for _ in range(ROUNDS):
        gradient, hessian = _within(at, *_derivatives(at, terms, steps))
        moved = _uphill(at, _direction(gradient, hessian), terms, steps)
        done = np.abs(moved - at).max() < SMALL_STEP
        at = moved
        if done:
            break
    return np.exp(at)


def _likelihood(at: Floats, terms: Sequence[Floats], steps: Ints) -> Floats:
    a, b = np.exp(at[:, :1]), np.exp(at[:, 1:])
    found = [(term * np.log(x + steps)).sum(axis=1) for term, x in zip(terms, (a, b, a + b), strict=True)]
    return np.asarray(found[0] + found[1] - found[2])


def _derivatives(at: Floats, terms: Sequence[Floats], steps: Ints) -> tuple[Floats, Floats]:
    """(R, 2) and (R, 2, 2): of the log likelihood in log a and log b."""
    a, b = np.exp(at[:, :1]), np.exp(at[:, 1:])
    once = [(term / (x + steps)).sum(axis=1) for term, x in zip(terms, (a, b, a + b), strict=True)]
    twice = [-(term / (x + steps) ** 2).sum(axis=1) for term, x in zip(terms, (a, b, a + b), strict=True)]
    scale = np.exp(at)
    gradient = scale * np.stack([once[0] - once[2], once[1] - once[2]], axis=1)
    hessian = np.empty((len(at), 2, 2))
    hessian[:, 0, 0] = scale[:, 0] ** 2 * (twice[0] - twice[2]) + gradient[:, 0]
    hessian[:, 1, 1] = scale[:, 1] ** 2 * (twice[1] - twice[2]) + gradient[:, 1]
    hessian[:, 0, 1] = hessian[:, 1, 0] = -scale[:, 0] * scale[:, 1] * twice[2]
    return gradient, hessian


def _within(at: Floats, gradient: Floats, hessian: Floats) -> tuple[Floats, Floats]:
    """The derivatives in what may still move: a coordinate whose bound is as good as reached, and that leads beyond,
    stays, so that the other is not held up by steps that the bound cuts short.
    """
    stays = ((at > MOST - NEAR) & (gradient > 0)) | ((at < LEAST + NEAR) & (gradient < 0))
    crossed = stays[:, :, None] | stays[:, None, :]
    return np.where(stays, 0.0, gradient), np.where(crossed, -np.eye(2), hessian)


def _direction(gradient: Floats, hessian: Floats) -> Floats:
    """(R, 2): Newton's step, uphill also where the likelihood is not concave, at most LONGEST either way."""
    values, vectors = np.linalg.eigh(hessian)
    along = np.einsum("rij,ri->rj", vectors, gradient) / np.maximum(np.abs(values), FLATTEST)
    step = np.einsum("rij,rj->ri", vectors, along)
    return np.asarray(step / np.maximum(1.0, np.abs(step).max(axis=1, keepdims=True) / LONGEST))


def _uphill(at: Floats, step: Floats, terms: Sequence[Floats], steps: Ints) -> Floats:
    """Where each row's step leads, halved until the likelihood does not fall; where it is if that never happens."""
    before = _likelihood(at, terms, steps)
    length, found, open_rows = np.ones(len(at)), at.copy(), np.ones(len(at), dtype=np.bool_)
    for _ in range(HALVINGS):
        tried = np.clip(at + length[:, None] * step, LEAST, MOST)
        better = open_rows & (_likelihood(tried, terms, steps) >= before)
        found[better] = tried[better]
        open_rows &= ~better
        length = np.where(open_rows, length / 2, length)
        if not open_rows.any():
            break
    return found


def _unsolved(n: Ints, correct: Ints, fitted: Floats, ks: Sequence[int]) -> Floats:
    """(R, kinds, K): the chance that a problem of each kind is still unsolved with k samples."""
    a, b = fitted[:, :1], fitted[:, 1:]
    found = np.zeros((len(fitted), len(n), len(ks)))
    for kind in np.flatnonzero(correct == 0):
        more = np.arange(int(n[kind]), max(ks))
        wrong = np.cumsum(np.log(b + more) - np.log(a + b + more), axis=1)
        still = np.exp(np.concatenate([np.zeros((len(fitted), 1)), wrong], axis=1))
        found[:, kind] = np.minimum(still[:, [k - int(n[kind]) for k in ks]], 1.0)
    return found
