"""`inspect`: what its report shows is what the network computes; mistakes are told."""

import dataclasses
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import jaxcnn
from experiments import data, inspect
from experiments.command_line.options import TrainOptions
from experiments.looking import layers, pictures, report, units
from experiments.looking.opened import Opened
from experiments.training import material
from jaxcnn.layers import (
    Activation,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    DepthwiseConv,
    Dropout,
    Flatten,
    GlobalAvgPool,
    LayerNorm,
    TableConv,
    residual,
    rows,
    serial,
)
from jaxcnn.ops.activation import relu
from jaxcnn.page import formula_of


@pytest.fixture(scope="module")
def image(opened):
    return opened.normalise(opened.test_images().images[123:124])


# What is shown ------------------------------------------------------------------------------------


def test_outputs_and_deltas_are_those_of_the_network_and_of_jax_grad(opened, image):
    label = jnp.array([3], jnp.int32)
    looked = jax.jit(lambda x: layers.look(opened, x, label))(image)
    logits, _ = opened.net.apply(opened.params, opened.state, image)
    np.testing.assert_allclose(looked.outputs["output"], logits, rtol=1e-5, atol=1e-6)
    expected = np.asarray(jax.nn.softmax(logits)) - np.eye(10)[[3]]
    np.testing.assert_allclose(looked.deltas["output"], expected, rtol=1e-4, atol=1e-6)

    def error(x):
        logits, _ = opened.net.apply(opened.params, opened.state, x)
        return jaxcnn.softmax_cross_entropy(logits, label)

    np.testing.assert_allclose(
        looked.input_delta, jax.jit(jax.grad(error))(image), rtol=1e-4, atol=1e-6
    )
    for name, y in looked.outputs.items():
        assert looked.deltas[name].shape == y.shape


def test_a_network_without_maps_has_no_receptive_fields_to_draw():
    net = jaxcnn.models.logistic_regression(10)
    params, state = net.init(jax.random.key(0), (32, 32, 1), dtype=jnp.float32)
    flat = Opened(Path(), TrainOptions(model="logistic-regression"), net, params, state)
    pixels = np.zeros((32, 32, 1), np.uint8)
    assert report._receptive_fields(flat, report.Chosen(pixels, 0, "nothing")) == []


def test_a_dead_network_has_no_receptive_fields_to_draw(opened):
    dead = jax.tree.map(lambda leaf: -jnp.abs(leaf) - 100, opened.params)
    died = dataclasses.replace(opened, params=dead | {"c1": opened.params["c1"]})
    assert units.receptive_field(died, "s4", (32, 32, 1), (2, 2)) is None
    pixels = np.zeros((32, 32, 1), np.uint8)
    (section,) = report._receptive_fields(died, report.Chosen(pixels, 0, "nothing"))
    assert section.pictures


def test_the_test_images_are_those_of_the_run(opened, monkeypatch):
    asked = []
    monkeypatch.setattr(data, "load", lambda *args: asked.append(args) or data.generated(
        data.DATASETS["mnist5k"], 4, 4))  # fmt: skip
    folders = {"data_dir": Path("here"), "manual_dir": Path("there")}
    options = dataclasses.replace(opened.options, **folders)
    assert dataclasses.replace(opened, options=options).test_images().images.shape == (4, 32, 32, 1)
    assert asked == [("mnist5k", Path("here"), Path("there"))]
    smoke = dataclasses.replace(opened, options=dataclasses.replace(options, smoke=True))
    assert len(smoke.test_images().labels) == material.SMOKE_TEST
    assert len(asked) == 1


def test_the_image_looked_at_is_one_of_which_the_network_is_not_sure():
    labels = np.array([0, 1, 1, 0])
    right = np.array([0.9, 0.2, 0.55, 0.45])
    probabilities = np.where(np.arange(2) == labels[:, None], right[:, None], 1 - right[:, None])
    judged = report.Judged(data.Split(np.zeros((4, 1, 1, 1), np.uint8), labels), probabilities)
    assert [inspect.unsure(judged, label) for label in (0, 1)] == [3, 2]
    assert inspect.unsure(judged, None) in (2, 3)


def test_receptive_fields_are_as_large_as_the_summary_says(opened):
    expected = {row.name: row.receptive_field for row in rows(opened.net, (32, 32, 1))}
    for name in ("c1", "s4"):
        field = units.receptive_field(opened, name, (32, 32, 1), (2, 2))
        assert field is not None
        top, left, bottom, right = field
        assert (bottom - top, right - left) == expected[name]
        step = {"c1": 1, "s4": 4}[name]
        assert (top, left) == (2 * step, 2 * step)


def test_deconvnet_stays_within_the_receptive_field(opened, image):
    found, places = jax.jit(lambda x: units.deconvolved(opened, "c1", x))(image)
    kernel = opened.params["c1"]["kernel"]
    y = units.up_to(opened, "c1")[0](image)
    for k, (row, column) in enumerate(np.asarray(places)):
        # The strongest activation times the filter, where it looked.
        picture = np.zeros((32, 32, 1))
        strength = float(y[0, row, column, k])
        assert strength == pytest.approx(float(y[0, ..., k].max()))
        picture[row : row + 5, column : column + 5] = strength * np.asarray(kernel[..., k])
        np.testing.assert_allclose(found[k], picture, rtol=1e-4, atol=1e-5)


def test_ascent_excites_its_own_unit_most(opened):
    found = units.maximised(opened, "c1", (32, 32, 1), steps=8)
    y = np.asarray(units.up_to(opened, "c1")[0](found))
    middle = y[:, 14, 14]
    assert found.shape == (6, 32, 32, 1)
    assert np.array_equal(middle.argmax(0), np.arange(6))


def test_ascent_excites_the_class_that_is_asked_for(opened):
    found = units.maximised(opened, "output", (32, 32, 1), steps=8)
    signal = found
    for stage in units.up_to(opened, "output"):
        signal = stage(signal)
    assert np.array_equal(np.asarray(signal).argmax(-1), np.arange(10))


def test_a_run_is_inspected_as_it_lies_in_its_folder(run, tmp_path, capsys):
    assert inspect.main([str(run), "--output", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "report.html")
    assert "<img" in (tmp_path / "report.html").read_text()


def test_formulas_come_from_the_operations():
    text = formula_of(Conv(3, 3))
    assert text.startswith("y = x ⋆ k + b")
    assert "full(dilate(δ), rot180(k))" in text.splitlines()[1]


def test_formulas_are_those_of_the_layer_and_out_of_training():
    forward, backward = formula_of(BatchNorm()).splitlines()
    assert "given μ and σ²" in forward
    assert backward.startswith("∂x = γrδ")
    for layer, operation in (
        (LayerNorm(), jaxcnn.layer_norm),
        (DepthwiseConv(3), jaxcnn.depthwise_conv),
        (GlobalAvgPool(), jaxcnn.global_avg_pool),
        (AvgPool(2), jaxcnn.avg_pool),
    ):
        first, *_ = str(operation.__doc__).splitlines()
        assert formula_of(layer).splitlines()[0] == first.rstrip(".")
    assert formula_of(Dropout(0.5)).endswith("∂x = δ")


# The report ---------------------------------------------------------------------------------------


def small_run(folder):
    """A network with everything in it that the report treats in a way of its own."""
    net = serial(
        stem=Conv(3, 5, stride=4),
        relu=Activation(relu),
        block=residual(Conv(3, 3, padding="SAME")),
        table=TableConv(((0, 2), (1,)), 2),
        flatten=Flatten(),
        output=Dense(10),
    )
    params, state = net.init(jax.random.key(0), (32, 32, 1), dtype=jnp.float32)
    return Opened(folder, TrainOptions(), net, params, state)


@pytest.fixture
def small(monkeypatch, tmp_path):
    opened = small_run(tmp_path)
    split = data.load("mnist5k").test
    few = data.Split(data.pad_to_32(split.images[::20]), split.labels[::20])
    monkeypatch.setattr(inspect, "open_run", lambda folder: opened)
    monkeypatch.setattr(Opened, "test_images", lambda self: few)
    monkeypatch.setattr(pictures, "MAPS", 2)  # every picture takes its time
    monkeypatch.setattr(pictures, "MISTAKES", 2)
    monkeypatch.setattr(report, "maximised", lambda *args, most: jnp.zeros((most, 9, 9, 1)))
    return opened


@pytest.mark.usefixtures("small")
def test_the_report_is_one_file_with_its_pictures_in_it(capsys, tmp_path):
    output = tmp_path / "report"
    assert inspect.main([str(tmp_path), "--index", "7", "--output", str(output)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(output / "report.html")
    text = (output / "report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    files = {path.stem for path in output.glob("*.png")}
    assert len(files) == text.count("data:image/png;base64,")
    for needed in (
        "image", "probabilities", "filters", "kernels-table", "layer-stem-y", "layer-stem-delta",
        "layer-block-body-y", "layer-block-y", "layer-output-delta", "saliency", "saliency-size",
        "deconvnet-stem", "deconvnet-block", "exciting-output", "receptive-fields", "confusion",
        "mistakes",
    ):  # fmt: skip
        assert needed in files
    assert "Test image 7." in text
    assert "2 of 3 maps shown." in text
    assert "sum of the branches" in text
    assert "∂x = full(dilate(δ), rot180(k))" in text
    # A formula stands beside every picture, and what it shows below it.
    for section in text.split("<section")[1:]:
        assert ("<img" not in section) or 'class="formula"' in section
    assert text.count("<img") == text.count("<figcaption>")


def test_a_picture_of_ones_own_is_looked_at_for_the_class_that_is_asked_for(small, tmp_path):
    path = tmp_path / "mine.png"
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(noise).save(path)
    judged = report.Judged(small.test_images(), np.full((50, 10), 0.1))
    options = inspect.Options(tmp_path, path, label=4, invert=True)
    chosen = inspect.choose(options, small, judged)
    assert chosen.label == 4
    plain = inspect.choose(inspect.Options(tmp_path, path, label=4), small, judged)
    np.testing.assert_array_equal(chosen.pixels[16, 2:-2], 255 - plain.pixels[16, 2:-2])
    assert inspect.choose(inspect.Options(tmp_path, index=3), small, judged).origin.endswith("3")


def test_a_picture_is_read_in_the_size_of_the_data(opened, tmp_path):
    path = tmp_path / "tall.png"
    white = Image.new("L", (10, 40), 255)
    white.putpixel((0, 0), 0)
    white.save(path)
    pixels = material.read_picture(path, opened.options)
    assert pixels.shape == (32, 32, 1)
    assert pixels[16, 16] == 255
    assert pixels[16, 4] == 0


def test_mistakes_of_the_command_line(run, capsys, tmp_path):
    text = tmp_path / "text.png"
    text.write_text("no picture")
    for arguments, sentence in (
        ([str(tmp_path)], "RUN must be the folder of a finished run"),
        ([str(run), "--label", "10"], "--label must be from 0 to 9, got 10."),
        ([str(run), "--index", "1000"], "--index must be from 0 to 999, got 1000."),
        ([str(run), str(text), "--index", "1"], "--index chooses a test image"),
        ([str(run), "--invert"], "--invert is for a picture of your own"),
        ([str(run), str(text)], "text.png is no image that can be read"),
    ):
        assert inspect.main(arguments) == 2
        error = capsys.readouterr().err
        assert sentence in error
        assert len(error.splitlines()) == 1
