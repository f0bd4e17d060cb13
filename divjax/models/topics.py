"""Topic models: latent Dirichlet allocation, documents of words from a mixture of topics (Blei, Ng, Jordan 2003).

A topic is a distribution over the v words of a vocabulary. A document has proportions θ ~ Dirichlet(a) of k topics, and
each of its words, independently, a topic z ~ θ and then the word from topic z. A corpus is its table of counts [d, v]:
within a document the order of the words says nothing. Densities are those of the words in their order, without the
multinomial coefficient of the counts.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray

from divjax import checks
from divjax import numerics as nu


def draw_proportions(
    key: PRNGKeyArray, concentration: Float[ArrayLike, " k"], *, num_draws: int
) -> Float[Array, "num_draws k"]:
    """θ ~ Dirichlet(a), ``num_draws`` times: most weight on one topic where the entries of a are well below 1.

    As nodes of equal weight they stand for the integral over θ in ``document_log_likelihood``. A concentration of 0
    leaves its topic out, so that models of several sizes may be arrays of one shape. Raises ValueError for a
    concentration that is not [k], or not of numbers >= 0, one of them positive; and for num_draws below 1.

    Examples:
        >>> dj.models.draw_proportions(jax.random.key(0), jnp.array([0.5, 0.5]), num_draws=8).shape
        (8, 2)
    """
    checks.check_count(num_draws, "num_draws")
    check_concentration(concentration)
    concentration = jnp.asarray(concentration, jnp.result_type(float))
    used = concentration > 0.0
    # Logarithms of gamma variates: the variates themselves are 0 in float32 for small a.
    log_gamma = jax.random.loggamma(key, jnp.where(used, concentration, 1.0), (num_draws, concentration.size))
    return jax.nn.softmax(jnp.where(used, log_gamma, -jnp.inf), axis=-1)


def draw_document(
    key: PRNGKeyArray, topics: Float[Array, "k v"], proportions: Float[Array, " k"], length: ArrayLike, *, longest: int
) -> Int[Array, " v"]:
    """The counts of ``length`` ≤ ``longest`` words drawn from the mixture θᵀ topics. Length may be traced."""
    words = jax.random.choice(key, topics.shape[1], (longest,), p=nu.matmul(proportions, topics))
    return jnp.zeros(topics.shape[1], jnp.int32).at[words].add(jnp.arange(longest) < length)


def draw_corpus(
    key: PRNGKeyArray,
    topics: Float[Array, "k v"],
    concentration: Float[ArrayLike, " k"],
    lengths: Int[ArrayLike, " d"],
    *,
    longest: int | None = None,
) -> Int[Array, "d v"]:
    """Counts of d documents of latent Dirichlet allocation, each of its own length ≥ 1.

    longest: a bound on the lengths; by default the largest of them, if they are not traced. Raises ValueError for
    topics that are not [k, v] with one concentration each, or not of probabilities that sum to 1, for concentrations
    below 0 or all 0, and for lengths that are not [d], of whole numbers from 1 to ``longest``.

    Examples:
        >>> topics = jnp.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]])
        >>> dj.models.draw_corpus(jax.random.key(0), topics, jnp.array([0.5, 0.5]), jnp.array([4, 6])).sum(axis=1)
        Array([4, 6], dtype=int32)
    """
    check_topics(topics, concentration)
    lengths = lengths if hasattr(lengths, "dtype") else np.asarray(lengths)
    if jnp.ndim(lengths) != 1 or not jnp.issubdtype(jnp.result_type(lengths), jnp.integer):
        raise ValueError(
            f"Expected lengths [d] of whole numbers; got {str(lengths)!r:.60}. Pass one for each document."
        )
    longest = int(np.max(lengths)) if longest is None else longest
    if checks.is_known(lengths) and not (1 <= np.min(lengths) <= np.max(lengths) <= longest):
        raise ValueError(
            f"Expected lengths from 1 to longest = {longest}; got {np.min(lengths)} to {np.max(lengths)}. An empty "
            "document says nothing: leave it out."
        )
    for_proportions, for_words = jax.random.split(key)
    lengths = jnp.asarray(lengths)
    proportions = draw_proportions(for_proportions, concentration, num_draws=lengths.size)
    draw = functools.partial(draw_document, longest=longest)
    return jax.vmap(draw, (0, None, 0, 0))(
        jax.random.split(for_words, lengths.size), jnp.asarray(topics, proportions.dtype), proportions, lengths
    )


def document_log_likelihood(
    counts: Int[Array, " v"], topics: Float[Array, "k v"], proportions: Float[Array, "s k"]
) -> Float[Array, ""]:
    """log ∫ p(θ) Π_v (Σ_k θ_k topics_kv)^n_v dθ in nats, over s equally weighted nodes of θ; −inf where it is 0.

    The nodes are those of ``draw_proportions``; a single node is the mixture with known proportions of probabilistic
    latent semantic analysis (Hofmann 1999). 0 for an empty document. Raises ValueError for shapes that do not fit.

    Examples:
        >>> topics = jnp.array([[0.5, 0.5], [0.25, 0.75]])
        >>> found = dj.models.document_log_likelihood(jnp.array([1, 0]), topics, jnp.array([[1.0, 0.0]]))
        >>> round(float(found), 3)
        -0.693
    """
    counts, topics, proportions = checks.floating(counts, topics, proportions)
    _check_document(counts, topics)
    if proportions.ndim != 2 or proportions.shape[1:] != topics.shape[:1] or not proportions.size:
        raise ValueError(f"Expected proportions [s, {topics.shape[0]}], one for each topic; got {proportions.shape}.")
    return nu.logsumexp(node_log_likelihoods(counts[None], topics, proportions)[0]) - math.log(proportions.shape[0])


def node_log_likelihoods(
    counts: Int[Array, "d v"], topics: Float[Array, "k v"], proportions: Float[Array, "s k"]
) -> Float[Array, "d s"]:
    """Σ_v n_v log Σ_k θ_k topics_kv for each document and each node of θ; −inf where a word has no probability."""
    mixed = nu.matmul(proportions, topics)
    # Held, since 0 · −inf is NaN: a document with an impossible word is then far below any possible one.
    log_mixed = nu.held(nu.safe_log(mixed))
    total = nu.matmul(counts.astype(mixed.dtype), log_mixed.T)
    return jnp.where(total <= nu.held(-jnp.full_like(total, jnp.inf)), -jnp.inf, total)


def exact_log_likelihood(
    counts: Int[Array, " v"], topics: Float[Array, "k v"], concentration: Float[Array, " k"], *, longest: int
) -> Float[Array, ""]:
    """log p of a document under latent Dirichlet allocation in nats, exactly: the integral over θ in closed form.

    With θ integrated out, topics are drawn from Pólya's urn: after n_1, …, n_k words the next has topic j with
    probability (a_j + n_j) / Σ (a + n), and how the words came there does not matter. So the sum over all k^n
    assignments is a recursion over the words that carries one number for each (n_1, …, n_(k−1)): n (n + 1)^(k−1) steps,
    for k up to about 4 and documents of a few dozen words. longest: a bound on the number of words. A reference for
    ``document_log_likelihood``, whose error is that of its nodes. Raises ValueError for shapes that do not fit, and for
    a document of more words where it is not traced.

    Examples:
        >>> topics = jnp.array([[0.5, 0.5], [0.5, 0.5]])
        >>> found = dj.models.exact_log_likelihood(jnp.array([1, 0]), topics, jnp.array([1.0, 1.0]), longest=1)
        >>> round(float(found), 3)
        -0.693
    """
    topics, counts = checks.floating(topics)[0], jnp.asarray(counts)
    _check_document(counts, topics)
    check_topics(topics, concentration)
    if checks.is_known(counts) and not jnp.sum(counts) <= longest:
        raise ValueError(f"Expected a document of at most longest = {longest} words; got {int(jnp.sum(counts))}.")
    num, dtype = topics.shape[0], topics.dtype
    words = jnp.repeat(jnp.arange(counts.size), counts, total_repeat_length=longest)
    used = jnp.arange(longest) < jnp.sum(counts)
    grid = jnp.indices((longest + 1,) * (num - 1)).astype(dtype)
    concentration = jnp.asarray(concentration, dtype)

    def add(state, each):
        shares, log_total = state
        word, use, before = each
        of_last = (concentration[-1] + before - jnp.sum(grid, axis=0)) * topics[-1, word] * shares
        moved = [jnp.roll((concentration[j] + grid[j]) * topics[j, word] * shares, 1, j) for j in range(num - 1)]
        new = sum(moved, of_last) / (jnp.sum(concentration) + before)
        total = jnp.sum(new)
        after = nu.safe_ratio(new, total), log_total + nu.safe_log(total)
        return jax.tree.map(lambda a, b: jnp.where(use, a, b), after, state), None

    start = jnp.zeros((longest + 1,) * (num - 1), dtype).at[(0,) * (num - 1)].set(1.0)
    each = (words, used, jnp.arange(longest, dtype=dtype))
    return jax.lax.scan(add, (start, jnp.zeros((), dtype)), each)[0][1]


def random_topics(
    key: PRNGKeyArray, counts: Int[ArrayLike, "d v"], *, num_topics: int, spread: ArrayLike = 0.5
) -> Float[Array, "num_topics v"]:
    """A random start: the corpus's own word frequencies, each topic's multiplied by exp(spread N(0, 1)), normalised.

    With one topic and spread 0 it is the maximum-likelihood unigram model. Topics that start alike stay alike. Raises
    ValueError for num_topics < 1, and for what ``check_corpus`` refuses.

    Examples:
        >>> dj.models.random_topics(jax.random.key(0), jnp.array([[3, 1, 0], [0, 1, 3]]), num_topics=2).shape
        (2, 3)
    """
    checks.check_count(num_topics, "num_topics")  # one topic is the unigram model
    check_corpus(counts)
    total = jnp.sum(jnp.asarray(counts, jnp.result_type(float)), axis=0)
    return total_one(total * jnp.exp(spread * jax.random.normal(key, (num_topics, total.size))))


def total_one(weights: Float[Array, "k v"]) -> Float[Array, "k v"]:
    """Each row over its sum; a row of zeros stays one."""
    return nu.safe_ratio(weights, jnp.sum(weights, axis=1, keepdims=True))


def check_corpus(counts: Int[ArrayLike, "d v"]) -> None:
    """ValueError for what is no corpus: a shape other than [d, v], a count below 0 or not whole, an empty document.

    Values are looked at where they are not traced. A word that occurs nowhere is no error: without smoothing its
    probability is 0.
    """
    shape = np.shape(counts)
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"Expected counts [documents, words], neither 0; got shape {shape}. Use jax.vmap for many.")
    if not checks.is_known(counts):
        return
    counts = np.asarray(counts)
    if not (np.isfinite(counts).all() and (counts >= 0).all() and (counts == np.floor(counts)).all()):
        raise ValueError(f"Expected counts to be whole numbers >= 0; got {_worst(counts)}. Count each word's uses.")
    if (empty := np.flatnonzero(counts.sum(axis=1) == 0)).size:
        raise ValueError(
            f"Expected no empty document; got {empty.size} of {shape[0]}, the first at {empty[0]}. Leave them out: "
            "they say nothing of the topics."
        )


def check_topics(topics: Float[ArrayLike, "k v"], concentration: Float[ArrayLike, " k"]) -> None:
    """ValueError for topics that are not [k, v] of distributions, each with a concentration >= 0, one above.

    Of a topic that is left out, with concentration 0, the values are not looked at.
    """
    shape = np.shape(topics)
    if len(shape) != 2 or 0 in shape or np.shape(concentration) != shape[:1]:
        raise ValueError(
            f"Expected topics [k, v] and concentration [k], k >= 1; got {shape} and {np.shape(concentration)}."
        )
    check_concentration(concentration)
    if checks.is_known(topics) and checks.is_known(concentration):
        check_distributions(np.asarray(topics)[np.asarray(concentration) > 0.0], "topics")


def check_concentration(concentration: Float[ArrayLike, " k"]) -> None:
    """ValueError for what is not [k] of numbers >= 0, one of them positive."""
    if np.ndim(concentration) != 1 or not np.size(concentration):
        raise ValueError(f"Expected concentration [k], one for each topic; got shape {np.shape(concentration)}.")
    if checks.is_known(concentration) and not np.min(concentration) >= 0.0 < np.max(concentration):
        raise ValueError(
            f"Expected concentration >= 0, one of them above; got {np.asarray(concentration).tolist()!r:.60}."
        )


def check_distributions(rows: Float[ArrayLike, "k v"], name: str) -> None:
    """ValueError for rows that are not >= 0 with sum 1, within 1e-3, where they are not traced."""
    if not checks.is_known(rows):
        return
    totals = np.sum(np.asarray(rows), axis=1)
    if not np.all(np.asarray(rows) >= 0.0) or not np.all(np.abs(totals - 1.0) <= 1e-3):
        worst = totals[np.argmax(np.abs(totals - 1.0))]
        raise ValueError(
            f"Expected {name} >= 0 with rows that sum to 1; got a least entry of {np.min(rows):g} and a sum of "
            f"{worst:g}. Normalise them."
        )


def _check_document(counts, topics):
    if topics.ndim != 2 or 0 in topics.shape or counts.shape != topics.shape[1:]:
        raise ValueError(
            f"Expected the counts [v] of one document and topics [k, v]; got {counts.shape} and {topics.shape}. Use "
            "jax.vmap for a corpus."
        )


def _worst(counts):
    wrong = counts[~(np.isfinite(counts) & (counts >= 0) & (counts == np.floor(counts)))]
    return f"{wrong[0]:g}"
