"""The decoded images of these tests go to a cache of their own, decoded once."""

import jax
import jax.numpy as jnp
import pytest

import jaxcnn
from experiments import runs
from experiments.command_line.options import TrainOptions
from experiments.looking.opened import open_run


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A run of LeNet-5 that was never trained."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    runs.create(folder, TrainOptions(run_dir=folder))
    drawn = jaxcnn.models.lenet5().init(jax.random.key(0), (32, 32, 1), dtype=jnp.float32)
    runs.save_parameters(folder, *drawn)
    return folder


@pytest.fixture(scope="session")
def opened(run):
    """The same, opened."""
    return open_run(run)


@pytest.fixture(scope="module")
def no_pictures():
    """They would take half of the time, and are looked at elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.plots.save_curves", lambda *_: None)
        patch.setattr("experiments.plots.save_looks", lambda *_: None)
        yield
