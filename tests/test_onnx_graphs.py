"""The nine graphs inside the wheel of `onnx`, with random numbers for all that is learnt.

Outputs are compared with onnxruntime's, gradients with those of the same graph on plain operations,
in float64. Every day SqueezeNet on small pictures; all nine, the gradients of the two heaviest on
smaller pictures, by

    pytest -n 0 --full -s tests/test_onnx_graphs.py
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra: test)")
pytest.importorskip("onnxruntime", reason="not installed (extra: peers)")
from onnx import numpy_helper  # noqa: E402
from onnx_files import GRAPHS, light, session  # noqa: E402

import jaxcnn as jc  # noqa: E402
from jaxcnn.interop import from_onnx  # noqa: E402

EVERYDAY = ("squeezenet", 70)  # convolutions alone: its pictures may be of any size
SMALLER = {"vgg19": 64, "densenet121": 64}
"""Of the same nodes: XLA's convolutions in float64, which the twins are made of, are slow."""


def rows(pixels):
    """The parameters of a test: a graph, and how large its pictures are."""
    full = [pytest.param(name, pixels.get(name, 224), marks=pytest.mark.full) for name in GRAPHS]
    return pytest.mark.parametrize(("name", "pixels"), [EVERYDAY, *full])


def picture(made):
    """For the input that has no numbers of its own."""
    named = {tensor.name for tensor in made.graph.initializer}
    (given,) = [given for given in made.graph.input if given.name not in named]
    size = [d.dim_value for d in given.type.tensor_type.shape.dim]
    return np.random.default_rng(1).standard_normal(size, np.float32)


def run(made):
    runtime = session(made)  # which says nothing of weights that are inputs too
    (name,) = [given.name for given in runtime.get_inputs()]
    return runtime.run(None, {name: picture(made)})


def moderated(made):
    """The graph with its last weights divided so that its logits are of size 1.

    Those of a deep network with random weights are large, its softmax one 1 and zeros.
    """
    graph = made.graph
    softmax = graph.node[-1]
    if softmax.op_type != "Softmax":
        return made
    made.graph.output.add(name=softmax.input[0])
    *_, logits = run(made)
    graph.output.pop()
    *_, last = (node for node in graph.node if node.op_type in ("Gemm", "Conv"))
    for tensor in graph.initializer:
        if tensor.name in last.input[1:]:
            array = numpy_helper.to_array(tensor) / logits.std()
            tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float32), tensor.name))
    return made


def relative(a, b):
    return float(jnp.abs(a - b).max() / jnp.abs(b).max())


@rows({})
def test_outputs_are_those_of_onnxruntime(name, pixels, optimised):
    made = moderated(light(name, pixels))
    (right,) = run(made)
    assert right.std() > 1e-4, "one class takes all: the comparison would say nothing"
    apply, params = from_onnx(made)
    apply = jax.jit(apply)
    error = relative(apply(params, picture(made)), right)
    print(f"{name}: outputs {error:.1e}")
    assert error <= 1e-5
    # A batch that the file was not written for.
    several = np.concatenate([picture(made)[..., ::-1], picture(made)])
    assert relative(apply(params, several)[1:], right) <= 1e-5


@rows(SMALLER)
def test_gradients_are_those_of_the_twin(name, pixels, optimised):
    made = moderated(light(name, pixels))
    apply, params = from_onnx(made)
    given = jax.tree.map(lambda a: a.astype(jnp.float64), (params, picture(made)))
    y = jax.eval_shape(apply, *given)
    delta = jax.random.normal(jax.random.key(0), y.shape, y.dtype)

    def gradients(graph):
        return jax.jit(jax.grad(lambda given: (graph(*given) * delta).sum()))(given)

    mine, twin = gradients(apply), gradients(jc.autodiff_twin(apply))
    pairs = list(zip(jax.tree.leaves(mine), jax.tree.leaves(twin), strict=True))
    errors = [relative(a, b) for a, b in pairs if jnp.abs(b).max() > 0]
    # Only a norm's statistics have no gradient.
    none = {name for name, a in mine[0].items() if not jnp.abs(a).max() > 0}
    norms = [node for node in apply.nodes if node.kind == "BatchNormalization"]
    assert none == {name for node in norms for name in node.inputs[3:]}
    print(f"{name}: {len(errors)} gradients {max(errors):.1e}")
    assert max(errors) <= 1e-10
