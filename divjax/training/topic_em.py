"""Expectation-maximisation for topic models: maximum likelihood with every document's proportions integrated out."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from divjax import checks, status
from divjax import numerics as nu
from divjax.models.topics import check_corpus, check_distributions, node_log_likelihoods, total_one
from divjax.numerics.callbacks import callback
from divjax.training.iteration import Iteration, frozen, select, starting
from divjax.training.settling import judged


class TopicState(NamedTuple):
    """Where EM stands. ``value`` is the objective at ``topics``, ``proposal`` what a step makes of them."""

    topics: Float[Array, "k v"]
    value: Float[Array, ""]
    proposal: Float[Array, "k v"]
    counts: Float[Array, "d v"]  # the corpus, read once
    proportions: Float[Array, "s k"]
    steps: Int[Array, ""]
    status: Int[Array, ""]  # NOT_CONVERGED while it runs


class TopicResult(NamedTuple):
    """What EM ends with."""

    topics: Float[Array, "k v"]
    log_likelihood: Float[Array, ""]  # per word, with the smoothing's share; exp(−it) is the perplexity where that is 0
    steps: Int[Array, ""]
    status: Int[Array, ""]  # bits of divjax.status


def topic_em(
    init: Array | Callable[[PyTree], Array],
    proportions: Array | Callable[[PyTree], Array],
    *,
    data: Callable[[PyTree], Any] = lambda case: case,
    smoothing: Any = 0.0,
    max_steps: int = 1000,
    tol: float = 1e-6,
) -> Iteration:
    """Maximise Σ_d log (1/s) Σ_s Π_v (Σ_k θ_sk topics_kv)^n_dv + smoothing Σ log topics_kv over topics, for any case.

    Returns an ``Iteration`` like that of ``em``. The first term is the log-likelihood of latent Dirichlet allocation,
    the integral over a document's proportions θ being the mean over nodes of the Dirichlet: ``draw_proportions``, some
    hundreds. So the likelihood itself is maximised, not the variational bound of Blei, Ng, Jordan (2003); and with a
    document's own nodes given it is the EM of Hofmann (1999). The concentration is given by the nodes, not fitted. A
    step computes r_ds, the probability that document d has the proportions θ_s, then

        topics_kv ∝ smoothing + Σ_ds n_dv r_ds θ_sk topics_kv / Σ_j θ_sj topics_jv.

    smoothing is the documented floor of the words: a count added to each word of each topic (a Dirichlet prior with
    smoothing + 1). At 0 a word that no document of a topic uses ends with probability 0, and a corpus that has it with
    log-likelihood −inf; a topic that no document uses at all would end as zeros. The objective rises with every step,
    to rounding.

    The result is a ``TopicResult``. log_likelihood is the objective over the number of words of the corpus. status is

    * OK: a step changed that by less than ``tol`` (or than its rounding). EM may end at a local optimum, where two
      topics have become one and another has been split: start it from several, and keep the likeliest;
    * NON_FINITE: it became NaN or infinite: the last finite step is kept;
    * NOT_CONVERGED: ``max_steps`` reached.

    Args:
      init: topics [k, v] to start from, as from ``random_topics``; or a function from case to them.
      proportions: nodes [s, k] of equal weight; or a function from case to them. One topic needs one node, [[1.0]].
      data: a function from case to the counts [d, v], called once. By default the case is the corpus.
      smoothing, max_steps, tol: see above. Traceable.

    Raises:
      TypeError: data is no function, max_steps is not whole.
      ValueError: smoothing, max_steps or tol below 0 where not traced; shapes that do not fit each other; topics or
        proportions that do not sum to 1, a corpus with an empty document, or with a count that is negative or not
        whole, where they are not traced.

    Examples:
        >>> counts = jnp.array([[3, 1, 0], [0, 1, 3]])
        >>> nodes = dj.models.draw_proportions(jax.random.key(0), jnp.array([0.5, 0.5]), num_draws=32)
        >>> start = dj.models.random_topics(jax.random.key(1), counts, num_topics=2)
        >>> dj.run(dj.training.topic_em(start, nodes, smoothing=0.1, max_steps=5), counts).topics.shape
        (2, 3)
    """
    data = callback(data, "data", "case", remedy="Pass a function, or the corpus as the case.")
    for name, value in (("smoothing", smoothing), ("max_steps", max_steps), ("tol", tol)):
        checks.parameter(value, name, 0.0, whole=name == "max_steps")

    def checked(case: PyTree) -> tuple[Any, Any, Any]:
        counts, topics, nodes = data(case), *(starting(each, case) for each in (init, proportions))
        check_corpus(counts)
        _check_shapes(*map(np.shape, (counts, topics, nodes)))
        check_distributions(topics, "topics")
        check_distributions(nodes, "proportions")
        return counts, topics, nodes

    def begin(case: PyTree) -> TopicState:
        counts, topics, nodes = checks.floating(*checked(case))
        value, proposal = _evaluate(topics, counts, nodes, smoothing)
        first = jnp.where(jnp.isfinite(value), status.NOT_CONVERGED, status.NON_FINITE).astype(jnp.int32)
        return TopicState(topics, value, proposal, counts, nodes, jnp.zeros((), jnp.int32), first)

    def step(state: TopicState, case: PyTree) -> TopicState:
        return _step(state, smoothing, tol)

    def done(state: TopicState) -> Array:
        return (state.status != status.NOT_CONVERGED) | (state.steps >= max_steps)

    def result(state: TopicState, case: PyTree) -> TopicResult:
        return TopicResult(state.topics, state.value, state.steps, state.status)

    return Iteration(begin, frozen(step, done), done, result, healthy=None, check=checked)  # it judges itself


def _check_shapes(counts, topics, nodes):
    if len(topics) != 2 or len(nodes) != 2 or topics[1] != counts[1] or nodes[1] != topics[0] or 0 in topics + nodes:
        raise ValueError(
            f"Expected topics [k, v], proportions [s, k], counts [d, v], k >= 1; got {topics}, {nodes} and {counts}."
        )


def _step(state: TopicState, smoothing: Any, tol: Any) -> TopicState:
    value, proposal = _evaluate(state.proposal, state.counts, state.proportions, smoothing)
    finite = jnp.isfinite(value)
    kept = select(finite, state._replace(topics=state.proposal, value=value, proposal=proposal), state)
    return kept._replace(steps=state.steps + 1, status=judged(value, state.value, finite, tol))


def _evaluate(topics, counts, nodes, smoothing) -> tuple[Float[Array, ""], Float[Array, "k v"]]:
    """The objective per word at these topics, and the topics that an E- and an M-step make of them."""
    log_joint = node_log_likelihoods(counts, topics, nodes)  # [d, s]
    log_p = jax.vmap(nu.logsumexp)(log_joint) - math.log(nodes.shape[0])
    smoothing = jnp.asarray(smoothing, log_p.dtype)
    prior = jnp.where(smoothing > 0.0, smoothing * jnp.sum(nu.held(nu.safe_log(topics))), 0.0)
    value = (jnp.sum(log_p) + prior) / jnp.sum(counts)
    used = nu.matmul(jax.vmap(nu.softmax)(log_joint).T, counts)  # [s, v]: words expected from documents at each node
    shares = topics * nu.matmul(nodes.T, nu.safe_ratio(used, nu.matmul(nodes, topics)))
    return value, total_one(smoothing + shares)
