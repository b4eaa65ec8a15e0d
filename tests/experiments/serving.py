"""The page of `experiments.demo`, served as long as a test needs it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from experiments import demo
from experiments.looking import server
from experiments.looking.opened import Opened


@contextmanager
def served(opened: Opened) -> Iterator[int]:
    """The port of this machine where it is."""
    with demo.listening(0) as listener:
        config = uvicorn.Config(server.application(opened), log_level="warning")
        serving = uvicorn.Server(config)
        thread = threading.Thread(target=serving.run, args=([listener],))
        thread.start()
        while not serving.started and thread.is_alive():
            time.sleep(0.01)
        yield listener.getsockname()[1]
        serving.should_exit = True
        thread.join()
