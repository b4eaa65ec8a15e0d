"""The check with random weights, in a shrunken form, and its mistakes in one sentence."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import jaxcnn
from experiments import attribution, runs
from experiments.command_line.options import TrainOptions

FOLDERS = ("0", "1")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Two runs of a network as it is before training, each with other parameters."""
    net, path = jaxcnn.models.lenet5(), tmp_path_factory.mktemp("runs")
    for seed, name in enumerate(FOLDERS):
        runs.create(path / name, TrainOptions(run_dir=path / name))
        params, state = net.init(jax.random.key(seed), (32, 32, 1), dtype=jnp.float32)
        runs.save_parameters(path / name, params, state)
    return [path / name for name in FOLDERS]


def test_every_method_has_a_line_maps_and_numbers(found, capsys, monkeypatch):
    every = attribution.methods("c3")
    few = {name: every[name] for name in ("saliency", "Grad-CAM", "Grad-CAM++")}
    monkeypatch.setattr(attribution, "methods", lambda layer: few)
    assert attribution.main([*map(str, found), "--images", "2"]) == 0
    *lines, path = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(few)
    with Image.open(path) as image:
        assert len(np.unique(np.asarray(image.convert("L")))) > 20
    numbers = json.loads((found[0] / "attribution.json").read_text())
    assert (numbers["runs"], numbers["images"]) == (2, 2)
    assert numbers["random"] == ["output", "+ f6", "+ c5", "+ c3", "+ c1"]
    for name, each in numbers["methods"].items():
        mean, spread = np.transpose(each)
        assert (np.abs(mean) < 0.99).all(), name  # each stage has changed the map
        assert (spread > 0).any()
    shown = [f"{mean:z.2f} ± {spread:.2f}" for mean, spread in numbers["methods"]["saliency"]]
    assert lines[0].split("  ")[-5:] == shown


def test_layers_become_random_from_the_last_one_on(found):
    opened = attribution.open_run(found[0])
    stages = attribution.cascade(opened, 0)
    order = ["output", "f6", "c5", "c3", "c1"]
    for count, (_, params, _) in enumerate(stages):
        changed = {
            name
            for name in params
            if (params[name]["kernel" if name in ("c1", "c3") else "weight"]
                != opened.params[name]["kernel" if name in ("c1", "c3") else "weight"]).any()
        }  # fmt: skip
        assert changed == set(order[:count])


def test_mistakes(found, capsys, tmp_path):
    other = tmp_path / "other"
    runs.create(other, TrainOptions(model="fast-mnist", run_dir=other))
    net = jaxcnn.models.fast_mnist()
    runs.save_parameters(other, *net.init(jax.random.key(0), (28, 28, 1), dtype=jnp.float32))
    for arguments, sentence in (
        ([str(found[0]), "--images", "1"], "--images must be at least 2, got 1.\n"),
        ([str(tmp_path)], "RUN must be the folder of a finished run"),
        ([str(found[0]), str(other)], "The runs must be of one network"),
        ([], "RUN must be the folder of a finished run"),
    ):
        assert attribution.main(arguments) == 2
        assert capsys.readouterr().err.startswith(sentence)


def test_rank_correlation_as_scipy_has_it():
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed (extra: test)")
    one, other = np.random.default_rng(0).integers(-4, 5, (2, 3, 5, 4)).astype(float)
    expected = [stats.spearmanr(abs(a).ravel(), abs(b).ravel()).statistic
                for a, b in zip(one, other, strict=True)]  # fmt: skip
    np.testing.assert_allclose(attribution.correlations(one, other), expected)
    assert (attribution.correlations(0 * one, other) == 0).all()
