"""The page of `experiments.demo` and what answers it: digits in, maps and δ of every layer out."""

from __future__ import annotations

import base64
import json
import math
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import uvicorn
from jax import lax
from jaxtyping import UInt8
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from experiments.command_line.options import UserError
from experiments.looking.layers import Looked, every_layer, look, whole
from experiments.looking.opened import Opened
from experiments.looking.terms import INPUT, readers, terms
from jaxcnn.page import formula_of, kind_of, shell

SIDE = 28  # of what the page sends
LARGEST = 64 * 1024  # bytes of a request: 784 numbers are 4 kB at most
TITLE = "Back-propagation, drawn"
INTRODUCTION = (
    "Draw a digit. On the left it runs forward, layer by layer; on the right δ, the gradient of "
    "the error, runs back: from the class that is second likeliest, until you choose one. Choose "
    "an element of a δ to see which δ above made it, through which weights."
)


class BadRequestError(ValueError):
    """What the page would never send, told in one sentence, with its status."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class Server(uvicorn.Server):
    """Ends at once when it is told to, whatever its clients hold back of requests and answers."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close every connection, then what remains."""
        for connection in list(self.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        await super().shutdown(sockets)


def check_digits(opened: Opened) -> None:
    """Refuse a run whose images are not grey ones of 28×28 pixels, or show no digits.

    Raises:
        UserError: it is such a run.
    """
    if opened.about.names:
        raise UserError(
            f"RUN must be of a network for digits, got one for {opened.options.dataset}."
        )
    if opened.about.shape != (SIDE, SIDE, 1):
        raise UserError(
            f"RUN must be of a network for grey images of {SIDE} × {SIDE} pixels, "
            f"{opened.options.dataset} has {' × '.join(map(str, opened.about.shape))}."
        )


def application(opened: Opened) -> Starlette:
    """The server for one run; its programs are compiled before it is returned.

    Raises:
        UserError: the run is of no network for digits.
    """
    check_digits(opened)
    answer = answers(opened)
    text = shell(
        TITLE, INTRODUCTION, Path(__file__).with_name("demo.js"), {"layers": answer.layers}
    )
    sizes = {layer["name"]: math.prod(layer["shape"]) for layer in answer.layers}

    async def page(request: Request) -> Response:
        del request
        return HTMLResponse(text)

    async def asked(request: Request, what: Callable[[dict[str, Any]], Any]) -> Response:
        try:
            found = await run_in_threadpool(what, parse(await _body(request)))
        except BadRequestError as error:
            return JSONResponse({"error": str(error)}, error.status)
        except ClientDisconnect:  # nobody is there to be answered
            return Response(status_code=400)
        return JSONResponse(found)

    async def look_at(request: Request) -> Response:
        return await asked(request, lambda sent: answer.look(*drawing(sent, opened.about.classes)))

    async def explain(request: Request) -> Response:
        return await asked(
            request,
            lambda sent: answer.explain(
                *drawing(sent, opened.about.classes), *element(sent, sizes)
            ),
        )

    return Starlette(
        routes=[
            Route("/", page),
            Route("/look", look_at, methods=["POST"]),
            Route("/explain", explain, methods=["POST"]),
        ],
        # A page elsewhere that gives this machine a name of its own gets no answer.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1"])],
    )


async def _body(request: Request) -> bytes:
    """What was sent, as far as it is of a sensible size."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise BadRequestError(413, f"The request must have {LARGEST:,} bytes at most.")
    return bytes(body)


def parse(body: bytes) -> dict[str, Any]:
    """The object that was sent.

    Raises:
        BadRequestError: it is none.
    """
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(400, "The request must be JSON.") from error
    if not isinstance(sent, dict) or not isinstance(sent.get("pixels"), list):
        raise BadRequestError(422, 'The request must be an object with a list "pixels".')
    return sent


def drawing(sent: Mapping[str, Any], classes: int) -> tuple[UInt8[np.ndarray, "28 28"], int | None]:
    """The drawing and the class that δ is to come from; None: the second likeliest.

    Raises:
        BadRequestError: it is not what the page sends.
    """
    pixels, label = sent["pixels"], sent.get("label")
    if len(pixels) != SIDE * SIDE:
        raise BadRequestError(
            422, f"pixels must be {SIDE * SIDE} numbers, row by row, got {len(pixels)}."
        )
    if not all(type(value) is int and 0 <= value <= 255 for value in pixels):
        raise BadRequestError(422, "pixels must be integers from 0 to 255.")
    if label is not None and not (type(label) is int and 0 <= label < classes):
        raise BadRequestError(422, f"label must be null or from 0 to {classes - 1}.")
    return np.array(pixels, np.uint8).reshape(SIDE, SIDE), label


def element(sent: Mapping[str, Any], sizes: Mapping[str, int]) -> tuple[str, int]:
    """The layer and the element of its δ that the page asks for.

    Raises:
        BadRequestError: there is none such.
    """
    layer, index = sent.get("layer"), sent.get("index")
    if not isinstance(layer, str) or layer not in sizes:
        raise BadRequestError(422, f"layer must be one of {', '.join(sizes)}.")
    if type(index) is not int or not 0 <= index < sizes[layer]:
        raise BadRequestError(422, f"index must be from 0 to {sizes[layer] - 1}.")
    return layer, index


class Answers(NamedTuple):
    """What the page asks for. layers: the image and every layer, as the page tells of them."""

    layers: list[dict[str, Any]]
    look: Callable[[np.ndarray, int | None], dict[str, Any]]
    explain: Callable[[np.ndarray, int | None, str, int], dict[str, Any]]


def answers(opened: Opened) -> Answers:
    """What the page asks for; one compiled program runs the network forward and back."""
    stages, read_by = every_layer(opened), readers(whole(opened))

    @jax.jit
    def compute(pixels, label):
        x = opened.normalise(pixels)
        logits = opened.net.apply(opened.params, opened.state, x)[0]
        # δ = y − [k = t] of a class that the network is sure of is next to nothing, and what
        # float32 leaves of it is mostly rounding.
        runner_up = lax.top_k(logits, 2)[1][:, 1]
        label = jnp.where(label < 0, runner_up, label)
        return look(opened, x, label), label

    def run(pixels: np.ndarray, label: int | None) -> tuple[np.ndarray, Looked, int]:
        fitted = opened.fit(pixels[None, :, :, None])
        wanted = np.array([-1 if label is None else label], np.int32)
        looked, used = jax.device_get(compute(fitted, wanted))
        return fitted, looked, int(used[0])

    def answer(pixels: np.ndarray, label: int | None) -> dict[str, Any]:
        start = time.perf_counter()
        fitted, looked, used = run(pixels, label)
        layers = [
            {
                "name": stage.name,
                "shape": list(looked.outputs[stage.name].shape[1:]),
                "y": packed(looked.outputs[stage.name]),
                "delta": packed(looked.deltas[stage.name]),
            }
            for stage in stages
        ]
        return {
            "probabilities": [round(float(p), 6) for p in looked.probabilities[0]],
            "label": used,
            "loss": -float(np.log(looked.probabilities[0][used])),
            "seen": base64.b64encode(fitted.tobytes()).decode("ascii"),
            "image": {"delta": packed(looked.input_delta)},
            "layers": layers,
            "milliseconds": round(1000 * (time.perf_counter() - start), 1),
        }

    def explain(pixels: np.ndarray, label: int | None, layer: str, index: int) -> dict[str, Any]:
        fitted, looked, _ = run(pixels, label)
        image = layer == INPUT
        x = opened.normalise(fitted) if image else jnp.asarray(looked.outputs[layer])
        delta = looked.input_delta if image else looked.deltas[layer]
        return {
            "value": float(np.ravel(delta)[index]),
            "through": [reader.stage.name for reader in read_by[layer]],
            "terms": [term._asdict() for term in terms(read_by[layer], looked, x, index)],
        }

    blank = np.zeros((SIDE, SIDE), np.uint8)
    shapes = {layer["name"]: layer["shape"] for layer in answer(blank, 0)["layers"]}  # compiles
    image = {"name": INPUT, "kind": "the image as the network sees it", "formula": ""}
    described = [
        {"name": stage.name, "kind": kind_of(stage.layer), "formula": formula_of(stage.layer)}
        for stage in stages
    ]
    shapes[INPUT] = list(opened.shape)
    return Answers([d | {"shape": shapes[d["name"]]} for d in [image, *described]], answer, explain)


def milliseconds(opened: Opened, strokes: int) -> np.ndarray:
    """How long each of so many strokes takes, from the request's bytes to the reply's.

    Raises:
        UserError: the run is of no network for digits.
    """
    check_digits(opened)
    answer = answers(opened).look
    taken = []
    for stroke in range(strokes):
        line = np.zeros((SIDE, SIDE), int)
        line[4 : 6 + stroke % 20, 10:13] = 255  # it grows
        body = json.dumps({"pixels": line.ravel().tolist(), "label": stroke % 10}).encode()
        start = time.perf_counter()
        JSONResponse(answer(*drawing(parse(body), opened.about.classes)))
        taken.append(1000 * (time.perf_counter() - start))
    return np.array(taken)


def packed(values: np.ndarray) -> dict[str, Any]:
    """Signed bytes, 127 for the largest absolute value, which is given too."""
    largest = float(np.abs(values).max()) if values.size else 0.0
    scaled = np.round(127 * values / largest) if largest > 0 else np.zeros_like(values)
    return {
        "largest": largest,
        "bytes": base64.b64encode(scaled.astype(np.int8).tobytes()).decode("ascii"),
    }
