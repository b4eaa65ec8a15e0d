"""Whatever an argument is given, the call works or says in one sentence of ours what is wrong."""

import inspect
import os
import re
import traceback
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from calls import FUNCTIONS, LAYERS, OPERATIONS, called, public, trial

import jaxcnn as jc
from jaxcnn import attribution, gradcheck, interop, layers, page, rules

HOME = os.path.dirname(jc.__file__) + os.sep
ODD = {
    "nothing": None,
    "text": "odd",
    "a letter": "z",
    "bytes": b"odd",
    "true": True,
    "false": False,
    "zero": 0,
    "minus one": -1,
    "two": 2,
    "a fraction": 1.5,
    "minus a fraction": -0.5,
    "not a number": float("nan"),
    "infinity": float("inf"),
    "a huge integer": 10**30,
    "an integer that no float holds": 10**400,
    "a complex number": 1j,
    "an array without axes": jnp.ones((), jnp.float32),
    "an integer without axes": jnp.ones((), jnp.int32),
    "an array": jnp.ones((2, 3), jnp.float32),
    "an array of one axis": jnp.ones((4,), jnp.float32),
    "an array of integers": np.array([1, 2]),
    "an empty array": jnp.ones((0,), jnp.float32),
    "an array of half floats": jnp.ones((2, 6, 6, 4), jnp.bfloat16),
    "an array of text": np.array(["odd"]),
    "an array of objects": np.array([None, 1]),
    "empty": (),
    "one": (1,),
    "two fractions": (1.5, 2.5),
    "three": [1, 2, 3],
    "seven": (1,) * 7,
    "nested": (((1, 1),), ((1, 1),)),
    "deeply nested": [[[[[1]]]]],
    "pairs": ((1, 1), (1, 1)),
    "two words": ("y", "z"),
    "with nothing in it": (None, None),
    "a dict": {"a": 1},
    "an empty dict": {},
    "a set": {1, 2},
    "a function": abs,
    "a type": int,
    "a range": range(3),
    "a layer": layers.Flatten(),
}
DROP_INS = ("conv", "pool")
TRACED = {f for f in FUNCTIONS if f.__module__ in {f"{interop.__name__}.{d}" for d in DROP_INS}}
# Settings and options are those of `jax.jit` and others; any word is the path of a file to write.
# What a function of the user's is called with is its own affair.
HANDED_ON = {"settings", "options", "path", (jc.explain_forms, "args")}
# Arguments for which a message has other words: those of the operation, or of the thing meant.
WORDS = {
    "window_size": "window|kernel",
    "window_shape": "window",
    "by_name": "layers?",
    "branches": "layers?",
    "layers": "a layer",
}
# Whose names messages have besides the function's own: those of the layers of the network given.
ALSO = {
    interop.to_onnx: ("flatten", "dense", "init"),
    jc.backprop: ("up_to", "flatten", "dense", "softmax_cross_entropy", "apply"),
    layers.rows: ("flatten",),
    layers.summary: ("flatten",),
    interop.from_torch: ("flatten", "dense", "init"),
    gradcheck.assert_gradients: ("check_gradients",),
    rules.arithmetic: ("custom_rule",),
    page.page: ("flatten", "dense", "apply"),
    **{
        method: ("flatten", "dense", "apply", "up_to", "max_pool", "global_avg_pool", "relu")
        for name, method in vars(attribution).items()
        if inspect.isfunction(method)
    },
}
# Said of all at once, as one of them does not fit the others: then another may be named.
TOGETHER = (
    "must (have|hold|not be|divide|leave|be at least 0 and|lie in|be given|be below|fit|be that|"
    "name|be a tree|be pairs)"
)


@pytest.fixture(scope="module", autouse=True)
def whole_tracebacks():
    """To leave JAX's own lines out of a traceback takes longer than the call that fails."""
    usual = jax.config.values["jax_traceback_filtering"]
    jax.config.update("jax_traceback_filtering", "off")
    yield
    jax.config.update("jax_traceback_filtering", usual)


def _values(function, name, usual):
    """Odd values for an argument; a function of the caller's says itself what it does not take."""
    takes_functions = callable(usual) or name.endswith(("rule", "_init", "twin", "adjoint"))
    takes_functions |= function in vars(attribution).values() and name in ("net", "target")
    for what, value in ODD.items():
        if not (takes_functions and callable(value)):
            yield what, value
    yield "the right one, nested once too often", (usual,)
    yield "the right one, nested twice too often", [[usual]]


def _complaint(call, names, argument):
    """What is wrong with how the call ends; None if it works or says what is wrong."""
    try:
        call()
    except AssertionError:
        assert "assert_gradients" in names
    except (TypeError, ValueError) as error:
        *_, last = traceback.walk_tb(error.__traceback__)
        message = str(error)
        if not last[0].f_code.co_filename.startswith(HOME):
            return f"not of ours: {type(error).__name__}: {message[:200]}"
        if not re.fullmatch(rf"({names}): [^\n]{{1,400}}", message):
            return f"another function, or no sentence: {message[:300]}"
        words = WORDS.get(argument, "") and "|" + WORDS[argument]
        named = re.search(rf"\b({argument}{words})\b", message)
        if not (named or re.search(TOGETHER, message)):
            return f"another argument: {message}"
    except Exception as error:
        return f"not of ours: {type(error).__name__}: {str(error)[:200]}"
    return None


def _complaints(function, right, run, names):
    """All that is wrong with how the function takes odd values, one argument at a time."""
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        if {name, (function, name)} & HANDED_ON:
            continue
        usual = right.get(name, parameter.default)
        for what, value in _values(function, name, usual):
            complaint = _complaint(lambda n=name, v=value: run({**right, n: v}), names, name)
            if complaint:
                found.append(f"{function.__name__}({name}={what}): {complaint}")
    return found


def _traced(check):
    """The check's result, with all that it computes only traced: on shapes alone, in one trace."""
    found = []
    jax.eval_shape(lambda: found.extend(check()))
    return found


@pytest.mark.parametrize("op", OPERATIONS, ids=lambda op: op.__name__)
def test_operations(op):
    right = OPERATIONS[op]
    assert not _traced(lambda: _complaints(op, right, lambda given: op(**given), op.__name__))


@pytest.mark.parametrize("kind", LAYERS, ids=lambda kind: kind.__name__)
def test_layers(kind):
    right, size = LAYERS[kind]

    def run(given):
        trial(kind(**given), size)

    names = f"{kind.__name__}|init|apply|" + "|".join(op.__name__ for op in OPERATIONS)
    assert not _traced(lambda: _complaints(kind, right, run, names))


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_functions(function, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # a text may name a file to write
    right = FUNCTIONS[function]

    allowed = "|".join([function.__name__, *ALSO.get(function, ())])
    check = partial(_complaints, function, right, partial(called, function), allowed)
    assert not (_traced(check) if function in TRACED else check())


def test_nothing_public_is_left_out():
    assert public() == {*OPERATIONS, *LAYERS, *FUNCTIONS}
