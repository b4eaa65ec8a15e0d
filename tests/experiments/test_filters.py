"""`python -m experiments.filters`: the lecture's printed tables, the picture, mistakes."""

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from experiments import filters

LETTER = jnp.asarray(filters.LETTER, jnp.float64)[..., None]


def test_the_lectures_tables():
    printed = {
        filters.CORNER: [[3, 2, 2, 3, 1], [2, 0, 2, 1, 0], [2, 2, 1, 0, 0], [3, 1, 0, 0, 0],
                         [1, 0, 0, 0, 0]],
        filters.KERNELS["identity"]: [[1, 1, 1, 1, 1], [1, 0, 0, 1, 0], [1, 0, 1, 0, 0],
                                      [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]],
        # Printed at row 2, columns 1 to 3: .4 .2 .3; at row 3, column 2: .4; counted: as here.
        filters.KERNELS["blur"]: [[0.4, 0.5, 0.5, 0.5, 0.4], [0.5, 0.6, 0.5, 0.6, 0.3],
                                  [0.5, 0.5, 0.4, 0.2, 0.1], [0.5, 0.6, 0.2, 0.1, 0],
                                  [0.4, 0.3, 0.1, 0, 0]],
    }  # fmt: skip
    for kernel, table in printed.items():
        found = filters.correlate(LETTER, kernel)[..., 0]
        np.testing.assert_allclose(found, table, rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", filters.KERNELS)
def test_colour_is_every_channel_by_itself_and_agrees_with_scipy(name):
    scipy = pytest.importorskip("scipy.ndimage")
    picture = np.random.default_rng(0).random((7, 6, 3))
    found = filters.correlate(jnp.asarray(picture), filters.KERNELS[name], same_size=True)
    for channel in range(3):
        kernel = np.asarray(filters.KERNELS[name], float)
        expected = scipy.correlate(picture[..., channel], kernel, mode="mirror")
        np.testing.assert_allclose(found[..., channel], expected, rtol=0, atol=1e-14)


def test_even_surfaces_stay_as_they_are_or_become_middle_grey():
    even = jnp.full((5, 5, 1), 0.3)
    for name, kernel in filters.KERNELS.items():
        expected = 0.5 if name in ("edges", "vertical edges", "horizontal edges") else 0.3
        np.testing.assert_allclose(filters.filtered(even, name), expected, atol=1e-12)
        assert np.sum(kernel) == pytest.approx(0 if expected == 0.5 else 1)


def test_the_default_picture_is_drawn(capsys, tmp_path):
    path = tmp_path / "filters.png"
    assert filters.main(["--output", str(path), "--size", "40"]) == 0
    output = capsys.readouterr().out
    assert "3   2   2   3   1" in output
    assert output.splitlines()[-1] == str(path)
    with Image.open(path) as image:
        assert image.width > 1200
        pixels = np.asarray(image.convert("RGB")).astype(int)
    spread = pixels.max(-1) - pixels.min(-1)
    assert spread[: len(spread) // 2].max() < 8  # the upper row is grey
    assert spread[len(spread) // 2 :].max() > 50


def test_a_name_without_an_ending_is_kept(capsys, tmp_path):
    assert filters.main(["--output", str(tmp_path / "plain"), "--size", "9", "--dpi", "20"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "plain")
    assert (tmp_path / "plain").read_bytes().startswith(b"\x89PNG")


def test_mistakes_are_told_in_one_sentence(capsys, tmp_path):
    text = tmp_path / "text.png"
    text.write_text("no picture")
    thin = tmp_path / "thin.png"
    Image.new("L", (40, 2)).save(thin)
    noise = np.random.default_rng(0).integers(0, 256, (300, 300), np.uint8)
    damaged = tmp_path / "damaged.png"
    Image.fromarray(noise).save(damaged)
    content = damaged.read_bytes()
    second = content.index(b"IDAT", content.index(b"IDAT") + 4)
    damaged.write_bytes(content[:second] + b"\0\1\2\3" + content[second + 4 :])
    for arguments, sentence in (
        ([str(text)], "text.png is no image that can be read."),
        ([str(damaged)], "damaged.png is no image that can be read."),
        ([str(tmp_path / "missing.png")], "missing.png cannot be read: No such file"),
        ([str(thin)], "IMAGE must have at least 3 × 3 pixels"),
        (["--size", "2"], "--size must be at least 3"),
        (["--size", "9", "--output", str(tmp_path / "a.text")], "has an ending that is no"),
        (["--size", "9", "--output", str(tmp_path / "no" / "a.png")], "cannot be written"),
    ):
        assert filters.main(arguments) == 2
        assert sentence in capsys.readouterr().err
