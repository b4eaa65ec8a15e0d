"""Runs that are killed and resumed; run by test_safety.py in a process of its own.

killed.py FOLDER KILLS SEED: train undisturbed in FOLDER/whole; then in FOLDER/killed, killing the
process at random moments and going on, that many times. Each run is a fork of this process, which
has imported everything but never touched a device. Prints, as JSON, when the kills came.
"""

import json
import os
import random
import signal
import sys
import time
import warnings

from experiments import train

warnings.simplefilter("ignore")  # the fork is made before JAX starts any thread

FOLDER, KILLS, SEED = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
RECIPE = [
    "--model", "logistic-regression", "--rotation", "0", "--zoom", "0",
    "--epochs", "6", "--train-images", "400", "--validation", "50",
    "--batch-size", "20", "--average", "ema", "--checkpoint-seconds", "0", "--no-progress",
]  # fmt: skip


def start(arguments):
    """A child that trains; its number."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os._exit(train.main(arguments))
    return child


def arguments_for(folder):
    begun = os.path.exists(f"{folder}/config.json")
    return ["--resume", folder] if begun else [*RECIPE, "--run-dir", folder]


whole, killed = f"{FOLDER}/whole", f"{FOLDER}/killed"
began = time.monotonic()
assert os.waitpid(start(arguments_for(whole)), 0)[1] == 0
seconds = time.monotonic() - began

rng, moments = random.Random(SEED), []
while len(moments) < KILLS:
    child = start(arguments_for(killed))
    moment = rng.uniform(0.3, 0.95) * seconds
    time.sleep(moment)
    ended, _ = os.waitpid(child, os.WNOHANG)
    if ended:  # it was faster this time: begin again, so that every kill meets a living run
        os.rename(killed, f"{killed}-{len(moments)}-{time.monotonic_ns()}")
        continue
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    moments.append(round(moment, 2))
assert os.waitpid(start(arguments_for(killed)), 0)[1] == 0
print(json.dumps({"seconds": round(seconds, 2), "kills": moments}))
