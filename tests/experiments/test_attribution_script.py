"""The check with random weights, in a shrunken form, and its mistakes in one sentence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import jaxcnn
from experiments import attribution, runs
from experiments.command_line.options import TrainOptions


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    runs.create(folder, TrainOptions(run_dir=folder))
    net = jaxcnn.models.lenet5()
    runs.save_parameters(folder, *net.init(jax.random.key(0), (32, 32, 1), dtype=jnp.float32))
    return folder


def test_every_method_has_a_line_and_two_maps(run, capsys, monkeypatch):
    few = dict(
        list(attribution.methods("c3").items())[:1] + list(attribution.methods("c3").items())[4:6]
    )
    monkeypatch.setattr(attribution, "methods", lambda layer: few)
    assert attribution.main([str(run), "--images", "2"]) == 0
    *lines, path = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["saliency", "Grad-CAM", "Grad-CAM++"]
    with Image.open(path) as image:
        assert len(np.unique(np.asarray(image.convert("L")))) > 20


def test_mistakes(run, capsys, tmp_path):
    assert attribution.main([str(run), "--images", "1"]) == 2
    assert capsys.readouterr().err == "--images must be at least 2, got 1.\n"
    assert attribution.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("RUN must be the folder of a finished run")


def test_rank_correlation_as_scipy_has_it():
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed (extra: test)")
    one, other = np.random.default_rng(0).integers(-4, 5, (2, 3, 5, 4)).astype(float)
    expected = [stats.spearmanr(abs(a).ravel(), abs(b).ravel()).statistic
                for a, b in zip(one, other, strict=True)]  # fmt: skip
    np.testing.assert_allclose(attribution.correlations(one, other), expected)
    assert (attribution.correlations(0 * one, other) == 0).all()
