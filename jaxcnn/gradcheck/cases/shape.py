"""Maps that only move elements."""

from functools import partial

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case

_linear = partial(Case, multilinear=True)


# As PyTorch's linear ones, as its nearest, and settings of ONNX's.
RESIZED = (
    ({"method": "linear"}, (2, 5, 3, 2), (7, 4)),
    ({"method": "linear", "coordinates": "align_corners"}, (1, 4, 6, 2), (7, 4)),
    ({"method": "linear", "coordinates": "pytorch_half_pixel"}, (2, 3, 4, 2, 1), (1, 2, 5)),
    ({"method": "cubic"}, (2, 5, 3, 1), (3, 8)),
    ({"method": "cubic", "coordinates": "asymmetric"}, (1, 6, 2), (9,)),
    ({"coordinates": "asymmetric", "rounding": "floor"}, (2, 5, 4, 1), (3, 8)),
    ({"rounding": "round_prefer_ceil"}, (1, 4, 3), (10,)),
    ({"coordinates": "align_corners", "rounding": "ceil"}, (2, 6, 3), (4,)),
    ({}, (1, 5, 4, 2), (10, 3)),
)
SCALED = {"scale": (0.6, 2.5), "method": "linear"}

CASES: list[Case] = [
    _linear(jc.rot180, {"kernel": (3, 2, 2, 3)}),
    _linear(jc.rot180, {"kernel": (4, 1, 2)}),
    _linear(jc.rot180, {"kernel": (2, 3, 2, 2, 1)}),
    _linear(jc.dilate, {"x": (2, 3, 4, 2)}, {"rate": (2, 3)}),
    _linear(jc.dilate, {"x": (1, 5, 2)}, {"rate": 3}),
    _linear(jc.subsample, {"x": (2, 7, 6, 2)}, {"rate": (3, 2)}),
    _linear(jc.subsample, {"x": (1, 3, 5, 4, 1)}, {"rate": 2}),
    *(
        _linear(op, {"x": size}, {"block": block, "order": order})
        for order in ("CRD", "DCR")
        for op, size, block in (
            (jc.pixel_shuffle, (2, 2, 3, 12), (3, 2)),
            (jc.pixel_shuffle, (1, 3, 2, 1, 8), 2),
            (jc.pixel_shuffle, (1, 2, 3, 8), 2),
            (jc.pixel_unshuffle, (2, 6, 4, 2), (3, 2)),
            (jc.pixel_unshuffle, (1, 6, 3), 2),
            (jc.pixel_unshuffle, (1, 4, 6, 2), 2),
        )
    ),
    *(_linear(jc.resize, {"x": x}, {"size": p, **settings}) for settings, x, p in RESIZED),
    *(
        _linear(jc.resize_input_grad, {"delta": (n, *p, c)}, {"input_size": tuple(hw), **settings})
        for settings, (n, *hw, c), p in RESIZED
    ),
    _linear(jc.resize, {"x": (1, 5, 3, 2)}, SCALED),
    _linear(jc.resize_input_grad, {"delta": (1, 3, 7, 2)}, {"input_size": (5, 3), **SCALED}),
    _linear(jc.flatten, {"x": (2, 3, 4, 2)}),
    _linear(jc.flatten, {"x": (2, 3, 3, 2)}),  # square: the wrong order has the right shape
    _linear(jc.unflatten, {"x": (2, 24)}, {"shape": (3, 4, 2)}),
    _linear(jc.concatenate, {"a": (2, 3, 2), "b": (2, 3, 1), "c": (2, 3, 4)}, as_one="parts"),
    _linear(jc.concatenate, {"a": (1, 2)}, as_one="parts"),
    _linear(jc.concatenate, {"a": (2, 3), "b": (2, 3)}, as_one="parts"),
    _linear(jc.split, {"x": (2, 3, 6)}, {"sizes": (2, 1, 3)}, output=0),
    _linear(jc.split, {"x": (2, 3, 6)}, {"sizes": (2, 1, 3)}, output=2),
    *(
        _linear(op, {name: size}, {"padding": padding, "mode": mode})
        for mode in ("zeros", "reflect", "replicate", "circular")
        for op, name, size, padding in (
            (jc.pad, "x", (2, 4, 5, 2), ((1, 3), (2, 0))),
            (jc.pad, "x", (1, 3, 2), 2),
            (jc.fold_back, "delta", (1, 6, 7, 2), ((1, 1), (0, 3))),
        )
    ),
]

LARGE: list[Case] = [
    _linear(jc.rot180, {"kernel": (3, 3, 128, 128)}),
    _linear(jc.dilate, {"x": (64, 16, 16, 32)}, {"rate": 2}),
    _linear(jc.subsample, {"x": (64, 32, 32, 32)}, {"rate": 2}),
    _linear(jc.resize, {"x": (64, 16, 16, 32)}, {"scale": 2, "method": "linear"}),
    _linear(
        jc.resize_input_grad,
        {"delta": (64, 32, 32, 32)},
        {"input_size": 16, "scale": 2, "method": "linear"},
    ),
    _linear(jc.pixel_shuffle, {"x": (64, 16, 16, 64)}, {"block": 2}),
    _linear(jc.pixel_unshuffle, {"x": (64, 32, 32, 16)}, {"block": 2}),
    _linear(jc.flatten, {"x": (256, 8, 8, 64)}),
    _linear(jc.unflatten, {"x": (256, 4096)}, {"shape": (8, 8, 64)}),
    _linear(jc.concatenate, {"a": (64, 16, 16, 32), "b": (64, 16, 16, 12)}, as_one="parts"),
    _linear(jc.split, {"x": (64, 16, 16, 44)}, {"sizes": (32, 12)}, output=0),
    _linear(jc.pad, {"x": (64, 16, 16, 32)}, {"padding": 1, "mode": "reflect"}),
    _linear(jc.fold_back, {"delta": (64, 18, 18, 32)}, {"padding": 1, "mode": "reflect"}),
]
