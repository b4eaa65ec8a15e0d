"""Training on several devices, or in several processes; run by test_devices.py in processes of
their own.

shared_training.py OUTPUT [COORDINATOR PROCESSES PROCESS]: three steps of a network with batch norm
and dropout, on one device, on all with Auto and with Explicit axes, or with the other processes;
losses and parameters go to OUTPUT, as .npz, the kind of run before each name.
"""

import sys
from typing import Any

import jax
import numpy as np

from experiments import training
from experiments.options import Augmentation, Hardware, Optimisation
from experiments.training import devices
from jaxcnn import layers
from jaxcnn.ops.activation import relu

OUTPUT, *GROUP = sys.argv[1:]
BATCH, STEPS = 16, 3
KINDS = {"one": Hardware(devices=1), "auto": Hardware(), "explicit": Hardware(axes="explicit")}
jax.config.update("jax_enable_x64", True)
if GROUP:
    where, processes, process = GROUP
    KINDS = {"all": Hardware(coordinator=where, processes=int(processes), process=int(process))}
    devices.join(KINDS["all"])

net = layers.serial(
    layers.Conv(4, 3), layers.BatchNorm(), layers.Activation(relu), layers.MaxPool(2),
    layers.Dropout(0.2), layers.Flatten(), layers.Dense(10),
)  # fmt: skip
options = Optimisation(optimiser="momentum", schedule="constant", learning_rate=0.1)
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (BATCH * STEPS, 8, 8, 1), np.uint8)
labels = np.arange(BATCH * STEPS, dtype=np.int32) % 10


def trained(hardware):
    """Losses, hits, logits and parameters after three steps."""
    mesh = devices.make_mesh(hardware, BATCH)
    assert (mesh is None) == (hardware.devices == 1)
    recipe = training.Recipe(
        net=net,
        optimiser=training.make_optimiser(options, training.make_schedule(options, STEPS, STEPS)),
        batch_size=BATCH,
        dtype=np.dtype("float64"),
        augmentation=Augmentation(shift=1, rotation=5.0, zoom=0.1, flip="random", cutmix=1.0),
        mesh=mesh,
    )
    with devices.within(mesh):
        data = training.Resident(*devices.everywhere(mesh, (images, labels)))
        init_key, key = devices.everywhere(mesh, tuple(jax.random.split(jax.random.key(0))))
        state = devices.everywhere(mesh, training.initial_state(recipe, init_key, (8, 8, 1)))
        advance = training.make_advance(recipe, data, key)
        state, metrics = advance(state, training.Segment(1, 0, STEPS))
        pixels = devices.everywhere(mesh, images[:20])
        predict = training.compile_predict(recipe, state, pixels, 10)
        logits = predict(state.params, state.net_state)
    leaves = jax.tree.leaves((state.params, state.net_state))
    found: dict[str, Any] = {f"leaf{i}": np.asarray(leaf) for i, leaf in enumerate(leaves)}
    return {"loss": metrics.loss, "correct": metrics.correct, "logits": logits, **found}


everything: dict[str, Any] = {
    f"{kind} {name}": value
    for kind, hardware in KINDS.items()
    for name, value in trained(hardware).items()
}
np.savez(OUTPUT, **everything)
