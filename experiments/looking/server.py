"""The page of `experiments.demo` and what answers it: digits in, maps and δ of every layer out."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
from experiments.looking.formulas import formula_of, kind_of
from experiments.looking.layers import every_layer, look
from experiments.looking.opened import Opened
from jaxcnn.layers import Dropout, Flatten, Identity

SIDE = 28  # of what the page sends
LARGEST = 64 * 1024  # bytes of a request: 784 numbers are 4 kB at most
PAGE = Path(__file__).with_name("demo.html")


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
    answer(np.zeros((SIDE, SIDE), np.uint8), 0)

    async def page(request: Request) -> Response:
        del request
        return HTMLResponse(PAGE.read_text(encoding="utf-8"))

    async def look_at(request: Request) -> Response:
        try:
            pixels, label = parse(await _body(request), opened.about.classes)
        except BadRequestError as error:
            return JSONResponse({"error": str(error)}, error.status)
        except ClientDisconnect:  # nobody is there to be answered
            return Response(status_code=400)
        return JSONResponse(await run_in_threadpool(answer, pixels, label))

    return Starlette(
        routes=[Route("/", page), Route("/look", look_at, methods=["POST"])],
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


def parse(body: bytes, classes: int) -> tuple[UInt8[np.ndarray, "28 28"], int | None]:
    """The drawing and the class that δ is to come from; None: the second likeliest.

    Raises:
        BadRequestError: it is not what the page sends.
    """
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(400, "The request must be JSON.") from error
    if not isinstance(sent, dict) or not isinstance(sent.get("pixels"), list):
        raise BadRequestError(422, 'The request must be an object with a list "pixels".')
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


def centred(drawing: UInt8[np.ndarray, "28 28"]) -> UInt8[np.ndarray, "28 28"]:
    """The drawing as MNIST has its digits: 20 pixels long, the centre of mass in the middle."""
    from PIL import Image

    rows, columns = np.nonzero(drawing > 32)
    if not len(rows):
        return np.zeros_like(drawing)
    ink = drawing[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    factor = 20 / max(ink.shape)
    h, w = (max(1, round(side * factor)) for side in ink.shape)
    digit = np.asarray(Image.fromarray(ink).resize((w, h), Image.Resampling.BILINEAR), np.float64)
    mass = digit.sum()
    centre = [
        (digit.sum(1 - axis) * (np.arange(digit.shape[axis]) + 0.5)).sum() / mass for axis in (0, 1)
    ]
    top, left = (
        int(np.clip(round(SIDE / 2 - c), 0, SIDE - n))
        for c, n in zip(centre, digit.shape, strict=True)
    )
    placed = np.zeros((SIDE, SIDE), np.uint8)
    placed[top : top + digit.shape[0], left : left + digit.shape[1]] = digit.round()
    return placed


def answers(opened: Opened) -> Callable[[np.ndarray, int | None], dict[str, Any]]:
    """answer(drawing, label): what the page shows; one compiled program for all of it."""
    passed_over = Flatten | Dropout | Identity  # they change nothing that could be seen
    shown = [stage for stage in every_layer(opened) if not isinstance(stage.layer, passed_over)]
    formulas = {stage.name: formula_of(stage.layer) for stage in shown}

    @jax.jit
    def compute(pixels, label):
        x = opened.normalise(pixels)
        logits = opened.net.apply(opened.params, opened.state, x)[0]
        # δ = y − [k = t] of a class that the network is sure of is next to nothing, and what
        # float32 leaves of it is mostly rounding.
        runner_up = lax.top_k(logits, 2)[1][:, 1]
        label = jnp.where(label < 0, runner_up, label)
        return look(opened, x, label), label

    def answer(drawing: np.ndarray, label: int | None) -> dict[str, Any]:
        start = time.perf_counter()
        pixels = centred(drawing)
        fitted = opened.fit(pixels[None, :, :, None])
        wanted = np.array([-1 if label is None else label], np.int32)
        looked, used = jax.device_get(compute(fitted, wanted))
        layers = [
            {
                "name": stage.name,
                "kind": kind_of(stage.layer),
                "formula": formulas[stage.name],
                "shape": list(looked.outputs[stage.name].shape[1:]),
                "y": packed(looked.outputs[stage.name]),
                "delta": packed(looked.deltas[stage.name]),
            }
            for stage in shown
        ]
        image = {"shape": list(fitted.shape[1:]), "delta": packed(looked.input_delta)}
        return {
            "probabilities": [round(float(p), 6) for p in looked.probabilities[0]],
            "label": int(used[0]),
            "seen": base64.b64encode(fitted.tobytes()).decode("ascii"),
            "image": image,
            "layers": layers,
            "milliseconds": round(1000 * (time.perf_counter() - start), 1),
        }

    return answer


def milliseconds(opened: Opened, strokes: int) -> np.ndarray:
    """How long each of so many strokes takes, from the request's bytes to the reply's.

    Raises:
        UserError: the run is of no network for digits.
    """
    check_digits(opened)
    answer = answers(opened)
    answer(np.zeros((SIDE, SIDE), np.uint8), None)  # compiles
    taken = []
    for stroke in range(strokes):
        drawing = np.zeros((SIDE, SIDE), int)
        drawing[4 : 6 + stroke % 20, 10:13] = 255  # a line that grows
        body = json.dumps({"pixels": drawing.ravel().tolist(), "label": stroke % 10}).encode()
        start = time.perf_counter()
        JSONResponse(answer(*parse(body, opened.about.classes)))
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
