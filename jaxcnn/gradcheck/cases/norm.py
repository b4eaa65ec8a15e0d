"""Normalisations."""

import numpy as np

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case, Shapes


def statistics(channels: int):
    """Draws of a mean and of a variance per channel."""
    return {
        "mean": lambda generator: generator.standard_normal(channels),
        "variance": lambda generator: generator.uniform(0.5, 2, channels),
    }


def affine(x: tuple[int, ...], parameter: tuple[int, ...]) -> Shapes:
    """Shapes with a scale and a bias."""
    return {"x": x, "scale": parameter, "bias": parameter}


def uneven(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers around 3: a mean that is not near zero."""
    return 3 + generator.standard_normal(shape)


CASES: list[Case] = [
    Case(jc.batch_norm, affine((3, 4, 3, 5), (5,)), output=0),
    Case(jc.batch_norm, affine((6, 3), (3,)), {"epsilon": 0.5}, output=0),
    Case(jc.batch_norm, {"x": (1, 5, 3, 2)}, draw={"x": uneven}, output=0),
    Case(jc.batch_norm, {"x": (4, 7, 1), "scale": (1,)}, output=0),
    Case(jc.batch_norm, {"x": (2, 2, 3, 2, 3), "bias": (3,)}, output=0),
    Case(
        jc.batch_norm_inference,
        affine((2, 3, 4, 3), (3,)),
        fixed=statistics(3),
        # Bilinear in γ and x, β added: a step of any size is exact.
        multilinear=True,
    ),
    Case(
        jc.batch_norm_inference,
        {"x": (4, 5)},
        {"scale": None, "bias": None, "epsilon": 0.5},
        statistics(5),
        multilinear=True,
    ),
    Case(
        jc.batch_norm_inference,
        {"x": (3, 2), "scale": (2,)},
        {"bias": None},
        statistics(2),
        multilinear=True,
    ),
    Case(
        jc.batch_norm_inference,
        {"x": (1, 3, 1), "bias": (1,)},
        {"scale": None},
        statistics(1),
        multilinear=True,
    ),
    Case(jc.layer_norm, affine((3, 5), (5,))),
    Case(jc.layer_norm, affine((2, 3, 2, 4), (3, 2, 4)), {"axes": (-3, -2, -1)}),
    Case(jc.layer_norm, {"x": (2, 3, 7)}, {"axes": -1, "epsilon": 0.1}, draw={"x": uneven}),
    Case(jc.layer_norm, {"x": (7,), "bias": (7,)}),
    Case(jc.layer_norm, {"x": (2, 4, 3), "scale": (4, 3)}, {"axes": (1, 2)}),
    Case(jc.group_norm, affine((2, 3, 2, 6), (6,)), {"groups": 3}),
    Case(jc.group_norm, affine((3, 6), (6,)), {"groups": 2, "epsilon": 0.5}),
    Case(jc.group_norm, {"x": (1, 5, 4), "scale": (4,)}, {"groups": 1}),
    Case(jc.group_norm, {"x": (2, 6, 3), "bias": (3,)}, {"groups": 3}, draw={"x": uneven}),
    Case(jc.instance_norm, affine((2, 3, 4, 3), (3,))),
    Case(jc.instance_norm, {"x": (3, 7, 2)}, {"epsilon": 0.1}, draw={"x": uneven}),
    Case(jc.instance_norm, {"x": (1, 2, 3, 2, 2), "scale": (2,)}),
    Case(jc.rms_norm, {"x": (3, 5), "scale": (5,)}),
    Case(jc.rms_norm, {"x": (2, 3, 2, 4), "scale": (2, 4)}, {"axes": (-2, -1)}),
    Case(jc.rms_norm, {"x": (2, 7)}, {"epsilon": 0.5}, draw={"x": uneven}),
    Case(jc.local_response_norm, {"x": (2, 3, 2, 7)}, {"alpha": 0.3}),
    Case(jc.local_response_norm, {"x": (3, 6)}, {"size": 4, "alpha": 0.5, "k": 1.0}),
    Case(jc.local_response_norm, {"x": (2, 3, 3)}, {"size": 8, "alpha": 2, "average": True}),
    Case(jc.local_response_norm, {"x": (1, 4, 1)}, {"size": 1, "alpha": 0.7, "beta": 1.5}),
    Case(jc.local_response_norm, {"x": (5,)}, {"size": 2, "alpha": 0.5, "beta": 0.5}),
    Case(jc.local_response_norm, {"x": (1, 2, 2, 6)}),
]

LARGE: list[Case] = [
    Case(jc.batch_norm, affine((32, 32, 32, 64), (64,)), output=0),
    Case(jc.batch_norm_inference, affine((32, 32, 32, 64), (64,)), fixed=statistics(64)),
    Case(jc.layer_norm, affine((32, 16, 16, 256), (256,))),
    Case(jc.group_norm, affine((32, 32, 32, 64), (64,)), {"groups": 8}),
    Case(jc.instance_norm, affine((32, 32, 32, 64), (64,))),
    Case(jc.rms_norm, {"x": (32, 16, 16, 256), "scale": (256,)}),
    Case(jc.local_response_norm, {"x": (16, 27, 27, 96)}),
]
