"""The convolution that a transposed convolution is the adjoint of: its output is what is known."""

from collections.abc import Sequence
from typing import Any

from jaxcnn import check
from jaxcnn.geometry.padding import follows_size
from jaxcnn.geometry.sliding import Geometry, parse_geometry, smallest_input
from jaxcnn.sizes import surely


def parse_transposed_geometry(
    op: str, output: Sequence[int], window: Sequence[int],
    *, stride: Any, padding: Any, output_padding: Any, **settings: Any,
) -> Geometry:  # fmt: skip
    """The geometry of the convolution whose output has the given size."""
    axes = len(window)
    stride = check.per_axis(op, "stride", stride, axes)
    dilation = check.per_axis(op, "dilation", settings["dilation"], axes)
    extra = check.per_axis(op, "output_padding", output_padding, axes, minimum=0)
    for o, s in zip(extra, stride, strict=True):
        if o >= s:
            raise ValueError(f"{op}: output_padding must be below the stride, got {o} for {s}")
    if follows_size(padding):
        if any(extra):
            raise ValueError(
                f"{op}: output_padding must be 0 with padding {check.shown(padding)}, which leaves "
                f"no larger size than p·stride, got {output_padding}"
            )
        large = [p * s for p, s in zip(output, stride, strict=True)]
    else:
        # On a map so large that no padding crops it away, only to have the padding parsed.
        probe = [(k - 1) * d + 1 + 2**31 for k, d in zip(window, dilation, strict=True)]
        one = parse_geometry(op, probe, window, stride=stride, padding=padding, **settings)
        large = [h + o for h, o in zip(smallest_input(output, one), extra, strict=True)]
    if any(surely(lambda size=size: size < 1) for size in large):
        raise ValueError(
            f"{op}: padding must leave something of the result, got {check.shown(padding)} "
            f"for a size of {tuple(large)}"
        )
    return parse_geometry(op, large, window, stride=stride, padding=padding, **settings)
