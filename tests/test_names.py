"""The names of the public API: one for one thing, and the same for the same thing everywhere."""

import importlib
import inspect
import re
import types

import distrax
import jax.numpy as jnp
import pytest

import divjax as dj

ROOMS = (
    *("bounds", "critic", "critic.penalties", "diagnostics", "discretize", "distributions", "exact", "kernels"),
    *("likelihood", "logits", "models", "plots", "samples", "score_matching", "sweeps", "targets", "training"),
    *("twosample", "variational", "divergences"),
)
PLACES = {"likelihood": "training.likelihood"}
# Whole numbers that count nothing: sizes, ranks, and the largest number of something.
SIZES = {
    *("dim", "latent", "rank", "longest", "most", "block", "chunk_size", "tile", "width"),
    *("max_steps", "patience", "known"),
    *("crossings", "refine"),  # how finely panels are laid: they are written on the measure, too
    *("status", "label", "process_id"),  # no numbers of things at all
}
# Arrays and cases that may be left out, and yet go by position.
POSITIONAL = {"log_w", "case", "q", "score_q", "name"}
UNCLEAR = re.compile(r"^(num|n|m|count|rounds|steps|particles|replicates|real|generated|data_[pq]|fake|x_[pq])$")


def functions():
    """Every function that a user may call, by its name below ``dj``."""
    found = {name: getattr(dj, name) for name in dir(dj)}
    for room in ROOMS:
        place = dj
        for part in PLACES.get(room, room).split("."):
            place = getattr(place, part)
        inside = {name: value for name, value in vars(place).items() if not name.startswith("_")}
        home = place.__name__ if room != "samples" else "divjax.divergences"
        found |= {
            f"{room}.{name}": value
            for name, value in inside.items()
            if getattr(value, "__module__", "").startswith(home)
        }
    return {name: value for name, value in found.items() if inspect.isfunction(value)}


PUBLIC = functions()


def parameters(function):
    return inspect.signature(inspect.unwrap(function)).parameters


def offences(name, function):
    """What is wrong with a signature, in words."""
    given = parameters(function)
    names = list(given)
    found = [f"{each} says too little" for each in names if UNCLEAR.match(each)]
    for each, what in given.items():
        kind, default = what.kind, what.default
        if what.annotation in (int, int | None, "int") and not each.startswith("num_") and each not in {"k", *SIZES}:
            found.append(f"{each} is a count, and not num_…")
        by_position = kind in (what.POSITIONAL_OR_KEYWORD, what.POSITIONAL_ONLY)
        if by_position and default is not what.empty and each not in POSITIONAL and each != names[0]:
            found.append(f"{each} has a default, and goes by position")
    if "key" in given and (names[0] != "key" or given["key"].default is not inspect.Parameter.empty):
        found.append("key is not the first, or may be left out")
    for first, second in (("x", "y"), ("p", "q")):
        if {first, second} <= set(names) and names.index(first) > names.index(second):
            found.append(f"{second} comes before {first}")
    return [f"{name}: {each}" for each in found]


def test_the_same_thing_has_the_same_name_everywhere():
    assert len(PUBLIC) > 150
    assert [each for name, function in PUBLIC.items() for each in offences(name, function)] == []


def test_a_name_that_says_too_little_is_found():
    def wrong(real, generated, key=None, *, num: int = 3, points: int = 4):
        """Nothing."""

    assert len(offences("wrong", wrong)) == 7
    assert offences("right", lambda key, x, y, *, num_points=3: None) == []


def test_no_name_tells_how_it_was_made():
    """``_solve`` and its like: what is returned is a value, or has a name of its own."""
    assert [name for name in PUBLIC if re.search(r"_(solve|distance_unbiased|output|full)$", name)] == []


def test_one_name_for_one_thing_at_the_top():
    """What is at the top level has no other name in a room."""
    top = {id(inspect.unwrap(getattr(dj, name))): name for name in dir(dj)}
    inside = [(name, top.get(id(inspect.unwrap(value)))) for name, value in PUBLIC.items() if "." in name]
    assert [(name, there) for name, there in inside if there and name.rpartition(".")[2] != there] == []
    names = [name for name in dir(dj) if not isinstance(getattr(dj, name), types.ModuleType)]
    for name in ("iwae", "newton", "pareto_k", "energy_distance", "mmd2_unbiased", "explicit_score_matching", "Rule"):
        assert name not in names


@pytest.mark.parametrize("room", ["samples", "score_matching", "variational", "training", "exact", "diagnostics"])
def test_rooms_are_entered_by_their_names(room):
    module = getattr(dj, room)
    assert isinstance(module, types.ModuleType)
    assert importlib.import_module(module.__name__) is module
    assert inspect.getdoc(module)


def functions_of(room):
    names = getattr(room, "__all__", None) or dir(room)
    found = {name: getattr(room, name) for name in names if not name.startswith("_")}
    return {
        f"{room.__name__}.{name}": value
        for name, value in found.items()
        if isinstance(value, types.FunctionType) and value.__module__.startswith("divjax")
    }


def test_a_call_that_does_not_fit_is_told_in_one_line_what_is_expected():
    wrong = {}
    # Of rooms that know of no other, and what takes a measure or two laws: Python says it in one line.
    others = {"divjax.explain", "divjax.sweep", "divjax.estimate"}
    rooms = (dj, dj.exact, dj.bounds, dj.kernels)
    for name, function in {name: each for room in rooms for name, each in functions_of(room).items()}.items():
        for arguments in ((), (1.0,) * 9) if name not in others else ():
            with pytest.raises((TypeError, ValueError)) as told:
                function(*arguments, **({} if arguments else {"no_such_parameter": 1}))
            if "Expected" not in str(told.value) or "\n" in str(told.value):
                wrong[name] = str(told.value)
    assert not wrong


def test_a_room_shows_what_is_its_own():
    assert dir(dj.bounds) == ["Bounds", "kl", "unscented_kl"]
    for room in (dj.kernels, dj.critic, dj.catalog, dj.variational, dj.score_matching):
        assert not {"jax", "jnp", "Array", "said", "checks"} & set(dir(room))


@pytest.mark.parametrize(
    "call",
    [
        lambda: dj.pmf(jnp.zeros(3), jnp.zeros(3)),
        lambda: dj.quadrature(distrax.Normal(0.0, -1.0), distrax.Normal(0.0, 1.0)),
    ],
)
def test_a_warning_points_to_the_line_of_the_caller(call):
    with pytest.warns(dj.AccuracyWarning) as told:
        call()
    assert told[0].filename == __file__
