"""The post's other models: latent Dirichlet allocation on documents, probabilistic matrix factorisation on ratings.

The data come from models of the same kind that are known, so that what a fit generates is judged by their density: it
is unrealistic where log p lies below the level that 99 % of real draws exceed. The number of topics, or the rank, is
swept through that of the data, four. With fewer the model is under-specified, and maximum likelihood averages as the
Gaussian of the post does: documents mix the words of subjects that do not meet, ratings fall between love and dislike.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, PyTree

from divjax.diagnostics.levels import rate_below
from divjax.models import factorisation, topics
from divjax.sweeps import product, sweep
from divjax.training.alternating import alternating
from divjax.training.iteration import Iteration
from divjax.training.topic_em import topic_em

if TYPE_CHECKING:
    import xarray

DOCUMENTS, RATINGS = "documents", "ratings"
SIZES, MASS = (1, 2, 3, 4, 5, 6), 0.99
REAL, GENERATED = 10_000, 1000  # draws that fix the level; draws from a fit
SUBJECTS = {
    "cooking": ("oven", "butter", "garlic", "simmer", "flour", "recipe", "salt", "dough"),
    "space": ("orbit", "planet", "rocket", "lunar", "comet", "galaxy", "probe", "crater"),
    "football": ("goal", "striker", "league", "penalty", "coach", "referee", "corner", "keeper"),
    "finance": ("bond", "yield", "inflation", "bank", "credit", "equity", "dividend", "broker"),
}
COMMON = ("new", "first", "time", "people", "good", "well", "day", "hot")
VOCABULARY = (*(word for words in SUBJECTS.values() for word in words), *COMMON)
OWN, STRAY = 0.75, 0.002  # of a topic: its own words; those of other subjects; the rest is common to all
CONCENTRATION = 0.01  # of each topic: nearly all documents keep to one
CORPUS, LENGTH, NODES, NODES_OF_TRUTH = 300, 24, 256, 4096
GENRES, PER_GENRE = 4, 6
SHARES = (0.4, 0.3, 0.2, 0.1)  # of the clusters of users, each with a genre that it loves
DISLIKED, LOVED, SPREAD, NOISE = 2.2, 4.4, 0.35, 0.5  # stars; spread: of items of a genre
USERS, RATED = 200, 0.8
_ROWS, _EXAMPLES = 12, 4  # of generated ones that are kept to be shown
_DIMS = {
    DOCUMENTS: {"topics": ("topic", "word"), "example_documents": ("document", "word")},
    RATINGS: {"params.users": ("user", "factor"), "params.items": ("item", "factor")}
    | dict.fromkeys(("example_rows", "example_rows_of_new_users"), ("row", "item")),
}


class Truth(NamedTuple):
    """What the data are drawn from, and log p of real draws."""

    draw: Any  # (key, num) -> draws
    log_p: Any  # draws -> [num], in nats
    real: Float[Array, " n"]


def true_topics() -> Float[np.ndarray, "4 40"]:
    """The topics of the corpus: a subject's own words, a few common ones, and hardly any of another subject's."""
    num, own = len(SUBJECTS), len(VOCABULARY) - len(COMMON)
    each = own // num
    stray = np.where(np.arange(own) // each == np.arange(num)[:, None], OWN / each, STRAY / (own - each))
    return np.hstack([stray, np.full((num, len(COMMON)), (1.0 - OWN - STRAY) / len(COMMON))])


def true_profiles() -> Float[np.ndarray, "4 24"]:
    """The mean ratings of the clusters: items differ, and each cluster loves one genre."""
    items = GENRES * PER_GENRE
    appeal = SPREAD * np.cos(2.4 * np.arange(items))
    loved = np.arange(items) // PER_GENRE == np.arange(GENRES)[:, None]
    return np.where(loved, LOVED, DISLIKED) + appeal


def documents(num_real: int = REAL) -> Truth:
    """Documents of ``LENGTH`` words, so that one level holds for all; log p by fixed nodes of their proportions."""
    prior, of_words = np.full(len(SUBJECTS), CONCENTRATION, np.float32), jnp.asarray(true_topics(), jnp.float32)
    nodes = topics.draw_proportions(jax.random.key(1), prior, num_draws=NODES_OF_TRUTH)

    def draw(key, num):
        return topics.draw_corpus(key, of_words, prior, np.full(num, LENGTH))

    def log_p(counts):
        one = lambda each: topics.document_log_likelihood(each, of_words, _opaque(nodes))  # noqa: E731
        return jax.lax.map(one, counts, batch_size=100)

    return Truth(draw, log_p, _real(draw, log_p, num_real))


def ratings(num_real: int = REAL) -> Truth:
    """Whole rows of ratings by users in clusters."""
    profiles = jnp.asarray(true_profiles(), jnp.float32)

    def draw(key, num):
        return factorisation.draw_ratings(key, profiles, SHARES, NOISE, num_users=num)

    def log_p(rows):
        return jax.vmap(lambda row: factorisation.row_log_density(row, profiles, SHARES, NOISE))(rows)

    return Truth(draw, log_p, _real(draw, log_p, num_real))


def _real(draw, log_p, num):
    return jax.jit(lambda key: log_p(draw(key, num)))(jax.random.key(0))


def _opaque(constant):
    """Not to be evaluated by the compiler, which takes minutes for what a program does in no time."""
    return jax.lax.optimization_barrier(constant)


def _keys(case: PyTree) -> tuple[Array, Array, Array]:
    """For the data, which all sizes and starts of a seed share; for the start; for what is generated."""
    key = jax.random.key(case["seed"])
    return tuple(jax.random.fold_in(key, i) for i in (1, 1000 + case["start"], 2))


def document_fit(num: int, truth: Truth, *, most: int | None = None) -> Iteration:
    """Latent Dirichlet allocation with ``num`` topics by EM, for cases of a ``seed`` and a ``start``.

    Its result is the log-likelihood per word, steps, status, and the topics, with rows of zeros up to ``most``.
    """
    nodes = topics.draw_proportions(jax.random.key(2), np.full(num, CONCENTRATION), num_draws=NODES if num > 1 else 1)

    def corpus(case):
        return truth.draw(_keys(case)[0], CORPUS)

    def init(case):
        return topics.random_topics(_keys(case)[1], corpus(case), num_topics=num)

    steps = topic_em(init, nodes, data=corpus, max_steps=200, tol=1e-5)

    def result(state, case):
        return steps.result(state, case)._asdict() | {"topics": _padded(state.topics, 0, most)}

    return steps._replace(result=result)


def rating_fit(rank: int, truth: Truth, *, most: int | None = None) -> Iteration:
    """Matrix factorisation of a rank by alternating least squares, for cases of a ``seed`` and a ``start``.

    Its result is the log-likelihood per rating, steps, status, and the model, with factors of zeros up to ``most``.
    """

    def table(case):
        for_rows, for_gaps = jax.random.split(_keys(case)[0])
        rows = truth.draw(for_rows, USERS)
        return jnp.where(jax.random.uniform(for_gaps, rows.shape) < RATED, rows, jnp.nan)

    def init(case):
        return factorisation.random_factors(_keys(case)[1], USERS, GENRES * PER_GENRE, rank=rank)

    steps = alternating(init, data=table, max_steps=200, tol=1e-5)

    def result(state, case):
        end = steps.result(state, case)
        padded = {name: _padded(end.params[name], 1, most) for name in ("users", "items")}
        kept = {name: getattr(end, name) for name in ("log_likelihood", "steps", "status")}
        return kept | {"params": end.params | padded}

    return steps._replace(result=result)


def _padded(x, axis, most):
    """With zeros: arrays of one shape for all sizes, so that one program judges all fits."""
    missing = 0 if most is None else most - x.shape[axis]
    return jnp.pad(x, [(0, missing if i == axis else 0) for i in range(x.ndim)])


def judge_documents(truth: Truth, *, num: int) -> Callable[[PyTree, PyTree], dict[str, Array]]:
    """For ``derive`` of a sweep: documents of a fit, the share that is ``unrealistic``, its ``stderr``, and a few."""

    def judge(end, case):
        used = jnp.sum(end["topics"], axis=1) > 0.0
        prior = jnp.where(used, CONCENTRATION, 0.0)
        drawn = topics.draw_corpus(_keys(case)[2], end["topics"], prior, np.full(num, LENGTH))
        return _judged(truth, drawn, "") | {"example_documents": drawn[:_EXAMPLES]}

    return judge


def judge_ratings(truth: Truth, *, num: int) -> Callable[[PyTree, PyTree], dict[str, Array]]:
    """For ``derive`` of a sweep: rows of ratings of a fit, by the users at hand and by new ones, judged alike."""

    def judge(end, case):
        key, model = _keys(case)[2], end["params"]
        at_hand = factorisation.generate_ratings(key, model, num_users=num)
        of_new = factorisation.generate_new_users(key, model, num_users=num)
        return (
            _judged(truth, at_hand, "")
            | _judged(truth, of_new, "_of_new_users")
            | {"example_rows": at_hand[:_ROWS], "example_rows_of_new_users": of_new[:_ROWS]}
        )

    return judge


def _judged(truth, drawn, which):
    rate = rate_below(_opaque(truth.real), truth.log_p(drawn), mass=MASS)
    return {f"unrealistic{which}": rate.rate, f"stderr{which}": rate.stderr}


def checked(sizes: Sequence[float]) -> list[int]:
    """The same sizes as integers; ValueError for one that is not whole or not in 1 ... 24, one twice, or none."""
    most = GENRES * PER_GENRE  # items: a table has no higher rank
    if not len(sizes) or not all(size == int(size) and 1 <= size <= most for size in sizes):
        got = ", ".join(f"{size:g}" for size in sizes)
        raise ValueError(f"Expected sizes of whole numbers from 1 to {most}, topics or factors; got {got or 'none'}.")
    if len(set(sizes)) < len(sizes):
        raise ValueError(f"Expected different sizes; got {', '.join(f'{size:g}' for size in sizes)}.")
    return [int(size) for size in sizes]


def run(
    sizes: Sequence[int] = SIZES,
    num_seeds: int = 4,
    num_starts: int = 3,
    *,
    models: Sequence[str] = (DOCUMENTS, RATINGS),
    generated: int = GENERATED,
    progress: Any = False,
) -> "xarray.Dataset":
    """Both models × sizes × data sets × starts: dimensions ``model``, ``size``, ``seed`` and ``start``.

    size: the number of topics, or the rank. What a model lacks is NaN. Raises ValueError for a size that is not whole,
    below 1, above 24 or there twice, for no size at all, and for another model.
    """
    import xarray

    sizes = checked(sizes)
    if not models or set(models) - {DOCUMENTS, RATINGS}:
        raise ValueError(f"Expected models of {(DOCUMENTS, RATINGS)}; got {list(models)}.")
    cases = product(seed=np.arange(num_seeds, dtype=np.int32), start=np.arange(num_starts, dtype=np.int32))
    parts = {DOCUMENTS: (documents, document_fit, judge_documents), RATINGS: (ratings, rating_fit, judge_ratings)}
    tables = []
    for model in models:
        make, fit, judge = parts[model]
        truth = make()
        fits = {str(size): fit(size, truth, most=max(sizes)) for size in sizes}
        table = sweep(fits, cases, progress=progress, dims=_DIMS[model], dim="size", derive=judge(truth, num=generated))
        tables.append(table.load().assign_coords(size=sizes))
    labels = xarray.DataArray(list(models), dims="model", name="model")
    joined = xarray.concat(tables, dim=labels, join="outer", data_vars="all", coords="minimal", compat="override")
    return joined.transpose("model", "size", "seed", "start", ...)


def likeliest(table: "xarray.Dataset") -> "xarray.Dataset":
    """The start of the largest likelihood for each model, size and seed: maximum likelihood, as far as found."""
    return table.isel(start=table["log_likelihood"].argmax("start"))


def words(counts: Int[ArrayLike, " v"]) -> str:
    """A document as text, its words by how often they are used."""
    counts = np.asarray(counts).astype(int)
    order = np.argsort(-counts, kind="stable")
    return ", ".join(f"{VOCABULARY[i]} ×{counts[i]}" if counts[i] > 1 else VOCABULARY[i] for i in order if counts[i])
