"""The page of `demo`: it shows what the network computes; bad requests are refused."""

import base64
import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from serving import served

import jaxcnn
from experiments import demo
from experiments.command_line.options import TrainOptions, UserError
from experiments.looking import layers, server, units
from experiments.looking.opened import Opened
from experiments.looking.terms import readers, terms
from jaxcnn.layers import Activation, BatchNorm, Branches, Conv, Dense, Flatten, Identity, serial


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


def test_the_command_serves_the_page_of_its_run(run, monkeypatch, capsys):
    served = []

    class Server(NamedTuple):
        config: object

        def run(self, sockets):
            (listener,) = sockets
            served.append(listener.getsockname())

    # A real one would keep the streams that capsys closes.
    monkeypatch.setattr("uvicorn.Config", lambda app, **_: app)
    monkeypatch.setattr(server, "Server", Server)
    assert demo.main([str(run), "--port", "0"]) == 0
    ((host, port),) = served
    assert host == "127.0.0.1"
    assert f"http://localhost:{port}/" in capsys.readouterr().out


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
    y = np.asarray(units.up_to(opened, "c1")[0](opened.normalise(seen)))
    (c1,) = [layer for layer in answer["layers"] if layer["name"] == "c1"]
    found = np.frombuffer(base64.b64decode(c1["y"]["bytes"]), np.int8).reshape(c1["shape"])
    tolerance = c1["y"]["largest"] / 254 + 1e-6
    np.testing.assert_allclose(found * c1["y"]["largest"] / 127, y[0], rtol=0, atol=tolerance)
    unasked = ask(client, drawing()).json()
    assert unasked["label"] == int(np.argsort(unasked["probabilities"])[-2])


def explain(client, pixels, layer, index):
    question = {"pixels": pixels.reshape(-1).tolist(), "label": 7, "layer": layer, "index": index}
    return client.post("/explain", json.dumps(question).encode())


@pytest.mark.parametrize("layer", ["input", "c1", "c1_activation", "s2", "s4", "flatten", "f6"])
def test_an_element_of_delta_is_the_sum_of_what_is_said_to_make_it(client, opened, layer):
    pixels = np.zeros((28, 28), int)
    pixels[4:24, 10:13] = 255
    x = opened.normalise(opened.fit(pixels.astype(np.uint8)[None, :, :, None]))
    looked = layers.look(opened, x, jnp.array([7], jnp.int32))
    delta = looked.input_delta if layer == "input" else looked.deltas[layer]
    index = int(np.argmax(np.abs(np.ravel(delta))))
    said = explain(client, pixels, layer, index).json()
    assert said["value"] == pytest.approx(float(np.ravel(delta)[index]), rel=1e-4)
    total = sum(term["delta"] * term["weight"] for term in said["terms"])
    assert total == pytest.approx(said["value"], rel=1e-4)
    assert {term["layer"] for term in said["terms"]} <= set(said["through"])


@pytest.mark.parametrize("merge", ["add", "concatenate"])
def test_an_element_that_branches_read_is_made_of_what_all_of_them_send_back(merge):
    branches = (
        Conv(3, 3, padding="SAME"),
        Identity(),
        serial(Conv(3, 3, padding="SAME"), BatchNorm()),
    )
    joined = Branches(tuple((f"b{i}", b) for i, b in enumerate(branches)), merge=merge)
    net = serial(Conv(3, 3), joined, Activation(jaxcnn.tanh), Flatten(), Dense(10))
    params, state = net.init(jax.random.key(0), (6, 5, 1), dtype=jnp.float32)
    opened = Opened(Path(), TrainOptions(), net, params, state)
    x = jax.random.normal(jax.random.key(1), (1, 6, 5, 1), jnp.float32)
    looked = layers.look(opened, x, jnp.array([4], jnp.int32))
    read_by = readers(layers.whole(opened))
    assert {reader.stage.name for reader in read_by["conv1"]} == {
        "branches1/b0", "branches1/b1", "branches1/b2/conv1"
    }  # fmt: skip
    del read_by["dense1"], read_by["input"]  # the loss's, and not among the outputs
    for name, readers_of_it in read_by.items():
        delta = looked.deltas[name]
        for index in (0, delta.size - 1):
            said = terms(readers_of_it, looked, looked.outputs[name], index)
            total = sum(term.delta * term.weight for term in said)
            assert total == pytest.approx(float(np.ravel(delta)[index]), rel=1e-4, abs=1e-6)


def element(**named):
    return json.dumps({"pixels": [0] * 784, **named}).encode()


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
    "layer": (element(layer="c9", index=0), 422, "layer must be one of input, c1"),
    "no layer": (element(index=0), 422, "layer must be one of"),
    "a list": (element(layer=[], index=0), 422, "layer must be one of"),
    "outside": (element(layer="f6", index=84), 422, "index must be from 0 to 83"),
    "no integer": (element(layer="f6", index=True), 422, "index must be from 0 to 83"),
    "huge": (b" " * (server.LARGEST + 1), 413, "bytes at most"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_are_refused_and_nothing_breaks(client, case):
    body, status, sentence = BAD[case]
    response = client.post("/explain" if b"index" in body else "/look", body)
    assert response.status_code == status
    assert sentence in response.json()["error"]
    assert ask(client, drawing()).status_code == 200


def test_other_addresses_methods_and_hosts_are_refused(client):
    assert client.get("/etc/passwd").status_code == 404
    assert client.get("/look").status_code == 405
    assert client.get("/", headers={"Host": "example.org"}.items()).status_code == 400


def test_who_leaves_while_asking_breaks_nothing(client, capfd):
    head = b"POST /look HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\n{"
    with socket.create_connection(("localhost", client.port)) as sender:
        sender.sendall(head)
    assert ask(client, drawing()).status_code == 200
    assert "Traceback" not in capfd.readouterr().err


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
        with pytest.raises(UserError, match="is in use"):
            demo.listening(port)
    assert demo.main([str(run), "--port", "70000"]) == 2
    assert capsys.readouterr().err == "--port must be from 0 to 65535, got 70000.\n"
    assert demo.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("RUN must be the folder of a finished run")


def test_strokes_are_timed_instead_of_served(run, capsys):
    assert demo.main([str(run), "--strokes", "3"]) == 0
    found = re.fullmatch(
        r"3 strokes: median ([\d.]+) ms, 95th percentile ([\d.]+) ms, the longest ([\d.]+) ms",
        capsys.readouterr().out.strip(),
    )
    assert found is not None
    assert 0 < float(found[1]) <= float(found[2]) <= float(found[3])
    assert demo.main([str(run), "--strokes", "-1"]) == 2


@pytest.mark.full
@pytest.mark.usefixtures("optimised")
def test_a_stroke_is_answered_within_100_milliseconds(client):
    """Through HTTP, as a browser asks; the median, since other work may run beside it."""
    taken = []
    for stroke in range(40):
        start = time.perf_counter()
        assert ask(client, np.roll(drawing(), stroke % 8, 1)).status_code == 200
        taken.append(1000 * (time.perf_counter() - start))
    assert np.median(taken) < 100
