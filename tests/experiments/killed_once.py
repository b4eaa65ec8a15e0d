"""A run on 8 devices, killed after its first epoch and resumed; run by test_safety.py in
a process of its own.

killed_once.py FOLDER OPTION…: both runs are forks of this process, which never touches a device.
"""

import os
import signal
import sys
import time
import warnings
from pathlib import Path

from experiments import plots, train

warnings.simplefilter("ignore")  # the fork is made before JAX starts any thread
# They would take half of the time.
plots.save_curves = plots.save_looks = lambda *_, **__: None

folder, options = Path(sys.argv[1]), sys.argv[2:]


def start(arguments):
    """A child that trains; its number."""
    child = os.fork()
    if child == 0:
        os._exit(train.main(arguments))
    return child


child = start([*options, "--devices", "8", "--run-dir", str(folder)])
while not (folder / "checkpoints" / "3").exists():
    time.sleep(0.005)
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended:
        sys.exit(f"the run ended with {os.waitstatus_to_exitcode(status)} before it was killed")
os.kill(child, signal.SIGKILL)
if os.waitpid(child, 0)[1] != signal.SIGKILL:
    sys.exit("the run was over before it was killed")
_, status = os.waitpid(start(["--resume", str(folder)]), 0)
sys.exit(os.waitstatus_to_exitcode(status))
