"""An exported program runs where only jax is: in a process that cannot import jaxcnn."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import models
from jaxcnn.gradcheck import relative_error

RUN = """
import sys
sys.modules["jaxcnn"] = None  # whoever imports it gets an ImportError

import jax
import numpy as np

with open(sys.argv[1], "rb") as file:
    program = jax.export.deserialize(bytearray(file.read()))
found = [np.asarray(program.call(batch)) for batch in np.load(sys.argv[2]).values()]
np.savez(sys.argv[3], *found)
assert not [name for name, module in sys.modules.items() if "jaxcnn" in name and module]
"""
NETWORKS = {
    "lenet5": (models.lenet5(), (32, 32, 1)),
    "batch norm": (models.resnet_imagenet(18, 5, width=4, stages=(1, 2)), (33, 32, 3)),
    "depthwise": (models.mobilenet(5, width=0.125, blocks=((64, 2), (64, 1))), (16, 16, 3)),
    "side by side": (models.densenet(10, 5, growth=4), (16, 16, 3)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_program_runs_without_jaxcnn_on_any_batch(name, tmp_path):
    net, shape = NETWORKS[name]
    params, state = net.init(jax.random.key(0), shape)

    @jax.jit
    def both(x):
        """The logits, and their sum's gradient with respect to the images."""
        logits, pull = jax.vjp(lambda x: net.apply(params, state, x)[0], x)
        return jnp.concatenate([logits, pull(jnp.ones_like(logits))[0].sum((1, 2))], -1)

    (batch,) = jax.export.symbolic_shape("batch")
    wanted = jax.ShapeDtypeStruct((batch, *shape), jnp.float32)
    paths = [tmp_path / name for name in ("program", "batches.npz", "found.npz")]
    paths[0].write_bytes(jax.export.export(both)(wanted).serialize())
    generator = np.random.default_rng(0)
    batches = [generator.normal(size=(n, *shape)).astype(np.float32) for n in (1, 3)]
    np.savez(paths[1], *batches)
    command = [sys.executable, "-c", RUN, *map(str, paths)]
    subprocess.run(command, check=True, cwd=tmp_path, env={"JAX_PLATFORMS": "cpu"}, timeout=300)
    for found, x in zip(np.load(paths[2]).values(), batches, strict=True):
        error, where = relative_error(found, np.asarray(both(x)))
        assert error < 1e-5, where
