"""Runs that are killed and resumed; run by test_safety.py in a process of its own.

killed.py FOLDER KILLS SEED RECIPE: train undisturbed in FOLDER/whole; then in FOLDER/killed-0,
killing the process at random moments and going on, that many times. When it ends in spite of that
another run begins, FOLDER/killed-1. Each run is a fork of this process, which has imported
everything but never touched a device; each that is not killed must succeed. Prints, as JSON, how
many runs there were, and after which steps each went on.
"""

import json
import os
import random
import re
import signal
import sys
import time
import warnings
from functools import partial

from experiments import train
from experiments.training import precision
from experiments.training.networks import NETWORKS, Network
from jaxcnn import layers
from jaxcnn.ops.activation import relu

warnings.simplefilter("ignore")  # the fork is made before JAX starts any thread

FOLDER, KILLS, SEED, RECIPE = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
COMMON = [
    "--rotation", "0", "--zoom", "0", "--train-images", "400", "--validation", "50",
    "--batch-size", "20", "--checkpoint-seconds", "0", "--no-progress",
]  # fmt: skip
RECIPES = {
    "plain": [
        "--model", "logistic-regression", "--average", "ema", "--epochs", "6", "--segment", "3",
    ],
    # Batch norm and dropout in both: `mlp` stands for the network below.
    "muon": [
        "--model", "mlp", "--optimiser", "muon", "--average", "lookahead", "--clip", "1",
        "--schedule", "plateau", "--patience", "1", "--decay", "0.5", "--epochs", "6",
        "--segment", "7", "--flip", "alternating",
    ],
    "float16": [
        "--model", "mlp", "--precision", "float16", "--average", "ema", "--label-smoothing", "0.1",
        "--weight-decay", "1e-3", "--accumulate", "2", "--epochs", "4", "--segment", "7",
    ],
}  # fmt: skip
precision.PATIENCE = 9  # the loss scale changes within these few steps


def small(classes):
    """A network with a state of its own, and random numbers."""
    return layers.serial(
        layers.Conv(4, 5, stride=4), layers.BatchNorm(), layers.Activation(relu),
        layers.Dropout(0.2), layers.Flatten(), layers.Dense(classes),
    )  # fmt: skip


NETWORKS["mlp"] = Network(small, small, None)


def start(folder):
    """A child that trains, or goes on; its number."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(f"{folder}.output", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
        begun = os.path.exists(f"{folder}/config.json")
        new = [*COMMON, *RECIPES[RECIPE], "--run-dir", folder]
        os._exit(train.main(["--resume", folder] if begun else new))
    return child


def ended(child):
    """Whether it has; it must have succeeded."""
    found, status = os.waitpid(child, os.WNOHANG)
    if found and status != 0:
        sys.exit(f"a run ended with {os.waitstatus_to_exitcode(status)}")
    return bool(found)


def newest(folder):
    """The step of the last whole checkpoint, or -1."""
    try:
        return max((int(n) for n in os.listdir(f"{folder}/checkpoints") if n.isdigit()), default=-1)
    except FileNotFoundError:
        return -1


def is_beyond(folder, step):
    """Whether there is a whole checkpoint of a later step."""
    return newest(folder) > step


def lives(child, seconds, until=lambda: False):
    """Wait until that holds, or so long, or until the child ends; whether it has not."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit and not until():
        if ended(child):
            return False
        time.sleep(0.002)
    return not ended(child)


def undisturbed(folder):
    """Train; how long it took to begin, and how long from the first steps to the end."""
    begin = time.monotonic()
    child = start(folder)
    lives(child, 600, until=partial(is_beyond, folder, 0))
    first = time.monotonic()
    lives(child, 600)
    return first - begin, time.monotonic() - first


starting, training = undisturbed(f"{FOLDER}/whole")
rng, kills, runs = random.Random(SEED), 0, 0
while kills < KILLS:
    folder = f"{FOLDER}/killed-{runs}"
    child, before = start(folder), newest(folder)
    if rng.random() < 0.25:  # while it compiles; else while it trains
        alive = lives(child, rng.uniform(0.1, 1) * starting)
    else:
        alive = lives(child, 600, until=partial(is_beyond, folder, max(before, 0)))
        alive = alive and lives(child, rng.uniform(0, 0.7) * training)
    if not alive:
        runs += 1
        continue
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    kills += 1
lives(start(f"{FOLDER}/killed-{runs}"), 600)

resumed = []
for number in range(runs + 1):
    with open(f"{FOLDER}/killed-{number}.output") as output:
        steps = re.findall(r"Going on after step (\d+)\.", output.read())
        resumed.append([int(step) for step in steps])
print(json.dumps({"kills": kills, "resumed": resumed}))
