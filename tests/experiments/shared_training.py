"""Training on several devices, or in several processes; run by test_devices.py in processes of
their own.

shared_training.py OUTPUT KIND [COORDINATOR PROCESSES PROCESS]: three steps of a network with batch
norm and dropout, on whatever devices there are; losses and parameters go to OUTPUT, as .npz.
"""

import sys
from typing import Any

import jax
import numpy as np

from experiments import training
from experiments.options import Augmentation, Hardware, Optimisation
from experiments.training import devices
from experiments.training.evaluation import compile_predict
from jaxcnn import layers
from jaxcnn.ops.activation import relu

OUTPUT, KIND, *GROUP = sys.argv[1:]
jax.config.update("jax_enable_x64", True)
hardware = Hardware(axes="explicit" if KIND == "explicit" else "auto")
if GROUP:
    coordinator, processes, process = GROUP
    hardware = Hardware(coordinator=coordinator, processes=int(processes), process=int(process))
devices.join(hardware)

BATCH, STEPS = 16, 3
net = layers.serial(
    layers.Conv(4, 3), layers.BatchNorm(), layers.Activation(relu), layers.MaxPool(2),
    layers.Dropout(0.2), layers.Flatten(), layers.Dense(10),
)  # fmt: skip
options = Optimisation(optimiser="momentum", schedule="constant", learning_rate=0.1)
mesh = devices.make_mesh(hardware, BATCH)
assert (mesh is None) == (KIND == "one")
recipe = training.Recipe(
    net=net,
    optimiser=training.make_optimiser(options, training.make_schedule(options, STEPS, STEPS)),
    batch_size=BATCH,
    dtype=np.dtype("float64"),
    augmentation=Augmentation(shift=1, rotation=5.0, zoom=0.1, flip="random", cutmix=1.0),
    mesh=mesh,
)
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (BATCH * STEPS, 8, 8, 1), np.uint8)
labels = np.arange(BATCH * STEPS, dtype=np.int32) % 10
with devices.within(mesh):
    data = training.Resident(*devices.everywhere(mesh, (images, labels)))
    init_key, key = devices.everywhere(mesh, tuple(jax.random.split(jax.random.key(0))))
    start = training.initial_state(recipe, init_key, (8, 8, 1))
    state = devices.everywhere(mesh, start)
    advance = training.make_advance(recipe, data, key)
    state, metrics = advance(state, training.Segment(1, 0, STEPS))
    pixels = devices.everywhere(mesh, images[:20])
    logits = compile_predict(recipe, state, pixels, 10)(state.params, state.net_state)
leaves = jax.tree.leaves((state.params, state.net_state))
found: dict[str, Any] = {f"leaf{i}": np.asarray(leaf) for i, leaf in enumerate(leaves)}
np.savez(OUTPUT, loss=metrics.loss, correct=metrics.correct, logits=logits, **found)
