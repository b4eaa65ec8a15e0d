"""Runs that are killed and resumed; run by test_safety.py in a process of its own.

killed.py FOLDER KILLS SEED RECIPE: train undisturbed in FOLDER/whole; then in FOLDER/killed,
killing the process at random moments and going on, that many times. Each run is a fork of this
process, which has imported everything but never touched a device; each that is not killed must
succeed. Prints, as JSON, when the kills came, and after which steps the run went on.
"""

import json
import os
import random
import re
import signal
import sys
import time
import warnings

from experiments import train
from experiments.networks import NETWORKS, Network
from experiments.training import precision
from jaxcnn import layers
from jaxcnn.ops.activation import relu

warnings.simplefilter("ignore")  # the fork is made before JAX starts any thread

FOLDER, KILLS, SEED, RECIPE = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
COMMON = [
    "--rotation", "0", "--zoom", "0", "--train-images", "400", "--validation", "50",
    "--batch-size", "20", "--checkpoint-seconds", "0", "--no-progress",
]  # fmt: skip
RECIPES = {
    "plain": ["--model", "logistic-regression", "--average", "ema", "--epochs", "6"],
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


def start(arguments):
    """A child that trains; its number."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(f"{FOLDER}/output", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
        os._exit(train.main(arguments))
    return child


def succeed(status):
    """End here if a child has failed."""
    if status != 0:
        sys.exit(f"a run ended with {os.waitstatus_to_exitcode(status)}")


def arguments_for(folder):
    begun = os.path.exists(f"{folder}/config.json")
    return ["--resume", folder] if begun else [*COMMON, *RECIPES[RECIPE], "--run-dir", folder]


whole, killed = f"{FOLDER}/whole", f"{FOLDER}/killed"
began = time.monotonic()
succeed(os.waitpid(start(arguments_for(whole)), 0)[1])
seconds = time.monotonic() - began

rng, moments = random.Random(SEED), []
while len(moments) < KILLS:
    child = start(arguments_for(killed))
    moment = rng.uniform(0.3, 0.95) * seconds
    time.sleep(moment)
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended:  # it was faster this time: begin again, so that every kill meets a living run
        succeed(status)
        os.rename(killed, f"{killed}-{len(moments)}-{time.monotonic_ns()}")
        os.remove(f"{FOLDER}/output")
        continue
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    moments.append(round(moment, 2))
succeed(os.waitpid(start(arguments_for(killed)), 0)[1])
with open(f"{FOLDER}/output") as output:
    resumed = [int(step) for step in re.findall(r"Going on after step (\d+)\.", output.read())]
print(json.dumps({"seconds": round(seconds, 2), "kills": moments, "resumed": resumed}))
