"""Training on several devices, or in several processes; run by test_devices.py in processes of
their own.

shared_training.py OUTPUT [COORDINATOR PROCESSES PROCESS]: three steps of a network with batch norm
and dropout, on one device, on all with Auto and with Explicit axes, or with the other processes;
losses and parameters go to OUTPUT, as .npz, the kind of run before each name. The same for a
logistic regression on a stream, of which every process reads its own rows.
"""

import dataclasses
import sys
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np

from experiments import training
from experiments.command_line.options import Augmentation, Hardware, Optimisation
from experiments.data.stream import Stream
from experiments.training import devices, material
from jaxcnn import layers, models
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
PICTURES = rng.integers(0, 256, (BATCH * STEPS, 9, 9, 3), np.uint8)


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


class Counted(list):
    """Pictures, and how many of them were asked for."""

    asked = 0

    def __getitem__(self, number):
        self.asked += 1
        return super().__getitem__(number)


def streamed(hardware):
    """The same of a stream, and how many pictures this process has read."""
    mesh = devices.make_mesh(hardware, BATCH)
    source = Counted({"image": picture, "label": 7} for picture in PICTURES)
    stream = Stream(
        source, np.arange(len(source)), 8, BATCH, SimpleNamespace(name="imagenet2012"), "", 0, mesh
    )
    recipe = training.Recipe(
        net=models.logistic_regression(1000),
        optimiser=training.make_optimiser(options, training.make_schedule(options, STEPS, STEPS)),
        batch_size=BATCH,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        classes=1000,
        dtype=np.dtype("float64"),
        augmentation=Augmentation(shift=0, rotation=0.0, zoom=0.0, flip="random"),
        mesh=mesh,
    )
    with devices.within(mesh):
        init_key, key = devices.everywhere(mesh, tuple(jax.random.split(jax.random.key(0))))
        state = devices.everywhere(mesh, training.initial_state(recipe, init_key, (8, 8, 3)))
        advance = training.make_advance(recipe, stream, key)
        state, metrics = advance(state, training.Segment(1, 0, STEPS))
        read = source.asked
        few = dataclasses.replace(stream, numbers=np.arange(BATCH + 3), seed=None)
        (judge,) = material.compile_judges(recipe, state, [few])
        assert judge is not None
        logits = judge(state.params, state.net_state).logits
    assert read == BATCH * STEPS // jax.process_count()
    assert source.asked - read == 2 * BATCH // jax.process_count()
    return {"streamed-loss": metrics.loss, "streamed-logits": logits}


everything: dict[str, Any] = {
    f"{kind} {name}": value
    for kind, hardware in KINDS.items()
    for name, value in {**trained(hardware), **streamed(hardware)}.items()
}
np.savez(OUTPUT, **everything)
