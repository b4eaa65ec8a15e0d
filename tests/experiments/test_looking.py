"""`inspect` and `demo`: what they show is what the network computes; bad requests are refused."""

import base64
import json
import re
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from serving import served

import jaxcnn
from experiments import demo, inspect, runs
from experiments.looking import layers, pictures, report, server
from experiments.looking.formulas import formula_of
from experiments.looking.opened import Opened, open_run, read_image
from experiments.options import TrainOptions, UserError
from jaxcnn.layers import Conv, rows


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of LeNet-5 that was never trained."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    runs.create(folder, TrainOptions(run_dir=folder))
    drawn = jaxcnn.models.lenet5().init(jax.random.key(0), (32, 32, 1), dtype=jnp.float32)
    runs.save_parameters(folder, *drawn)
    return folder


@pytest.fixture(scope="module")
def opened(run):
    return open_run(run)


class Response(NamedTuple):
    status_code: int
    text: str

    def json(self):
        return json.loads(self.text)


class Client(NamedTuple):
    """What a browser on this machine does."""

    port: int

    def send(self, method, path, content=None, headers=()):
        request = urllib.request.Request(
            f"http://localhost:{self.port}{path}", content, dict(headers), method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return Response(response.status, response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Response(error.code, error.read().decode())

    def get(self, path, headers=()):
        return self.send("GET", path, headers=headers)

    def post(self, path, content):
        return self.send("POST", path, content)


@pytest.fixture(scope="module")
def client(opened):
    """The page as it is served."""
    with served(opened) as port:
        yield Client(port)


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
    flat = Opened(Path(), "logistic-regression", "mnist5k", None, net, params, state)
    pixels = np.zeros((32, 32, 1), np.uint8)
    assert report._receptive_fields(flat, report.Chosen(pixels, 0, "nothing")) == []


def test_branches_are_one_layer_with_the_delta_of_their_sum():
    net = jaxcnn.layers.serial(
        block=jaxcnn.layers.residual(Conv(2, 3, padding="SAME")),
        flatten=jaxcnn.layers.Flatten(),
        output=jaxcnn.layers.Dense(3),
    )
    params, state = net.init(jax.random.key(0), (4, 4, 2), dtype=jnp.float32)
    tiny = Opened(Path(), "tiny", "mnist5k", None, net, params, state)
    x = jax.random.normal(jax.random.key(1), (1, 4, 4, 2), jnp.float32)
    looked = jax.jit(lambda x: layers.look(tiny, x, jnp.array([1], jnp.int32)))(x)
    assert list(looked.outputs) == ["block", "flatten", "output"]
    below = looked.deltas["output"] @ params["output"]["weight"].T
    np.testing.assert_allclose(looked.deltas["block"].reshape(1, -1), below, rtol=1e-5, atol=1e-6)


def test_receptive_fields_are_as_large_as_the_summary_says(opened):
    expected = {row.name: row.receptive_field for row in rows(opened.net, (32, 32, 1))}
    for name in ("c1", "s4"):
        top, left, bottom, right = layers.receptive_field(opened, name, (32, 32, 1), (2, 2))
        assert (bottom - top, right - left) == expected[name]
        step = {"c1": 1, "s4": 4}[name]
        assert (top, left) == (2 * step, 2 * step)


def test_deconvnet_stays_within_the_receptive_field(opened, image):
    found, places = jax.jit(lambda x: layers.deconvolved(opened, "c1", x))(image)
    kernel = opened.params["c1"]["kernel"]
    y = layers.up_to(opened, "c1")[0](image)
    for k, (row, column) in enumerate(np.asarray(places)):
        # The strongest activation times the filter, where it looked.
        picture = np.zeros((32, 32, 1))
        strength = float(y[0, row, column, k])
        assert strength == pytest.approx(float(y[0, ..., k].max()))
        picture[row : row + 5, column : column + 5] = strength * np.asarray(kernel[..., k])
        np.testing.assert_allclose(found[k], picture, rtol=1e-4, atol=1e-5)


def test_ascent_excites_its_own_unit_most(opened):
    found = layers.maximised(opened, "c1", (32, 32, 1), steps=8)
    y = np.asarray(layers.up_to(opened, "c1")[0](found))
    middle = y[:, 14, 14]
    assert found.shape == (6, 32, 32, 1)
    assert np.array_equal(middle.argmax(0), np.arange(6))


def test_formulas_come_from_the_operations():
    text = formula_of(Conv(3, 3))
    assert text.startswith("y = x ⋆ k + b")
    assert "full(dilate(δ), rot180(k))" in text.splitlines()[1]


# The report ---------------------------------------------------------------------------------------


@pytest.mark.full
def test_the_report_is_one_file_with_its_pictures_in_it(run, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MAPS", 2)  # every map drawn takes its time
    monkeypatch.setattr(pictures, "MISTAKES", 2)
    monkeypatch.setattr(
        "experiments.looking.report.maximised", lambda *args: jnp.zeros((3, 9, 9, 1))
    )
    picture = tmp_path / "mine.png"
    Image.new("RGB", (50, 40), (200, 30, 30)).save(picture)
    output = tmp_path / "report"
    assert inspect.main([str(run), str(picture), "--label", "4", "--output", str(output)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(output / "report.html")
    text = (output / "report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    files = sorted(path.name for path in output.glob("*.png"))
    assert len(files) == text.count("data:image/png;base64,") >= 18
    for needed in ("filters", "layer-c3", "saliency", "deconvnet-c3", "exciting-output",
                   "receptive-fields", "confusion", "mistakes"):  # fmt: skip
        assert f"{needed}.png" in files
    assert "that of class 4" in text
    assert "∂x = full(dilate(δ), rot180(k))" in text


def test_a_picture_is_read_in_the_size_of_the_data(opened, tmp_path):
    path = tmp_path / "tall.png"
    Image.new("L", (10, 40), 255).save(path)
    pixels = read_image(path, opened)
    assert pixels.shape == (32, 32, 1)
    assert pixels[16, 16] == 255
    assert pixels[16, 4] == 0


def test_mistakes_of_the_command_line(run, capsys, tmp_path):
    text = tmp_path / "text.png"
    text.write_text("no picture")
    for arguments, sentence in (
        ([str(tmp_path)], "RUN must be the folder of a finished run"),
        ([str(run), "--label", "10"], "--label must be from 0 to 9, got 10."),
        ([str(run), str(text)], "IMAGE must be a picture"),
    ):
        assert inspect.main(arguments) == 2
        error = capsys.readouterr().err
        assert sentence in error
        assert len(error.splitlines()) == 1


# The page -----------------------------------------------------------------------------------------


def drawing():
    """A thick line down, left of the middle."""
    pixels = np.zeros((28, 28), int)
    pixels[4:20, 6:9] = 255
    return pixels


def ask(client, pixels, **more):
    return client.post(
        "/look", json.dumps({"pixels": pixels.reshape(-1).tolist(), **more}).encode()
    )


def test_the_page_is_served_and_asks_for_nothing_elsewhere(client):
    page = client.get("/")
    assert page.status_code == 200
    assert 'id="pad"' in page.text
    assert not re.findall(r'(?:src|href)="(?!data:)', page.text)
    assert "http" not in page.text


def test_a_drawing_is_answered_with_every_layer(client, opened):
    answer = ask(client, drawing(), label=7).json()
    assert answer["label"] == 7
    assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-4)
    assert [layer["name"] for layer in answer["layers"]][:3] == ["c1", "c1_activation", "s2"]
    seen = np.frombuffer(base64.b64decode(answer["seen"]), np.uint8).reshape(1, 32, 32, 1)
    y = np.asarray(layers.up_to(opened, "c1")[0](opened.normalise(seen)))
    (c1,) = [layer for layer in answer["layers"] if layer["name"] == "c1"]
    found = np.frombuffer(base64.b64decode(c1["y"]["bytes"]), np.int8).reshape(c1["shape"])
    tolerance = c1["y"]["largest"] / 254 + 1e-6
    np.testing.assert_allclose(found * c1["y"]["largest"] / 127, y[0], rtol=0, atol=tolerance)
    likeliest = ask(client, drawing()).json()
    assert likeliest["label"] == int(np.argmax(likeliest["probabilities"]))


def test_drawings_are_centred_as_mnist_is():
    placed = server.centred(drawing().astype(np.uint8))
    rows, columns = np.nonzero(placed)
    assert rows.max() - rows.min() + 1 == 20
    assert rows.mean() == pytest.approx(13.5, abs=0.6)
    assert columns.mean() == pytest.approx(13.5, abs=0.6)
    assert not server.centred(np.zeros((28, 28), np.uint8)).any()
    dot = np.zeros((28, 28), np.uint8)
    dot[0, 27] = 255
    assert server.centred(dot).any()


BAD = {
    "no JSON": (b"{", 400, "must be JSON"),
    "no text": (b"\xff\xfe", 400, "must be JSON"),
    "deep": (b"[" * 60_000, 400, "must be JSON"),
    "no object": (b"[1]", 422, "object with a list"),
    "wrong shape": (json.dumps({"pixels": [0] * 783}).encode(), 422, "784 numbers"),
    "nested": (json.dumps({"pixels": [[0] * 28] * 28}).encode(), 422, "784 numbers"),
    "text in it": (json.dumps({"pixels": ["0"] * 784}).encode(), 422, "integers from 0 to 255"),
    "too bright": (json.dumps({"pixels": [256] * 784}).encode(), 422, "integers from 0 to 255"),
    "true": (json.dumps({"pixels": [True] * 784}).encode(), 422, "integers from 0 to 255"),
    "class": (json.dumps({"pixels": [0] * 784, "label": 10}).encode(), 422, "from 0 to 9"),
    "huge": (b" " * (server.LARGEST + 1), 413, "bytes at most"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_are_refused_and_nothing_breaks(client, case):
    body, status, sentence = BAD[case]
    response = client.post("/look", body)
    assert response.status_code == status
    assert sentence in response.json()["error"]
    assert ask(client, drawing()).status_code == 200


def test_other_addresses_methods_and_hosts_are_refused(client):
    assert client.get("/etc/passwd").status_code == 404
    assert client.get("/look").status_code == 405
    assert client.get("/", headers={"Host": "example.org"}.items()).status_code == 400


def test_two_browsers_at_once_get_their_own_answers(client):
    other = np.roll(np.rot90(drawing()), 3, 1)
    expected = [ask(client, pixels).json()["probabilities"] for pixels in (drawing(), other)]
    found: dict[int, list] = {0: [], 1: []}

    def draw(number, pixels):
        found[number] += [ask(client, pixels).json()["probabilities"] for _ in range(5)]

    threads = [threading.Thread(target=draw, args=pair) for pair in enumerate((drawing(), other))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in (0, 1):
        assert found[number] == [expected[number]] * 5
    assert expected[0] != expected[1]


def test_the_socket_is_of_this_machine_only_and_mistakes_are_told(run, capsys, tmp_path):
    with demo.listening(0) as listener:
        host, port = listener.getsockname()
        assert host == "127.0.0.1"
        listener.listen()
        with pytest.raises(UserError, match="is in use"):
            demo.listening(port)
    assert demo.main([str(run), "--port", "70000"]) == 2
    assert capsys.readouterr().err == "--port must be from 0 to 65535, got 70000.\n"
    assert demo.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("RUN must be the folder of a finished run")
