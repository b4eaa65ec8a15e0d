"""Wrong maps on channels."""

import jax.numpy as jnp
from mutation import forgets, given, wrong

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case

PAD = Case(jc.pad_channels, {"x": (2, 3, 2)}, {"before": 1, "after": 2})
CROP = Case(jc.crop_channels, {"x": (2, 3, 5)}, {"before": 1, "after": 2})
SCALE = Case(jc.scale_channels, {"x": (2, 3, 4), "scale": (4,), "bias": (4,)})
MUTANTS = [
    given("pad channels: the other side's channels", PAD, before=lambda after: after, after=lambda before: before),
    wrong("pad channels: averaged", PAD, x=lambda right: right * 0.4),
    wrong("pad channels: turned round", PAD, x=lambda right: right[..., ::-1]),
    given("crop channels: at the other side", CROP, before=lambda after: after, after=lambda before: before),
    wrong("crop channels: repeated, not zero", CROP,
        x=lambda delta, before, after: jnp.pad(delta, ((0, 0), (0, 0), (before, after)), "edge")),
    wrong("scale channels: ∂x forgets γ", SCALE, x=lambda delta: delta),
    wrong("scale channels: ∂γ forgets x", SCALE, scale=lambda d_bias: d_bias),
    wrong("scale channels: ∂γ averaged", SCALE, scale=lambda right: right / 6),
    wrong("scale channels: ∂β times γ", SCALE, bias=lambda right, scale: right * scale),
    forgets("scale channels: order 2 forgets x and γ", SCALE, "residuals"),
]  # fmt: skip
