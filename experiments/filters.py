"""Question: what does a convolution with a kernel written by hand do to a picture?

Command:  python -m experiments.filters             (a picture that comes with matplotlib)
          python -m experiments.filters IMAGE       (any file that Pillow reads)
Result:   filters.png: the picture blurred, sharpened, embossed and reduced to its edges, in grey
          and in colour; and the lecture's tables of the letter, four misprints corrected
Time:     5 s
Hardware: 2 cores of an AMD EPYC (AVX2), float32, jax 0.10.2

Gormley, "Background: Image Processing". In grey one convolution does it; in colour every channel
is a map by itself (`depthwise_conv`). The picture is reflected at its border, so that it keeps its
size and no dark frame appears. Kernels whose elements sum to 0 answer 0 to even surfaces: their
results are drawn around middle grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jax.numpy as jnp
import numpy as np
import tyro
from jax import Array
from jaxtyping import Float

import jaxcnn
from experiments.command_line import program
from experiments.command_line.options import UserError
from experiments.data.picture import Background, open_picture

# The letter of Gormley's slides, 7×7, and the kernel that he slides over it first.
LETTER = (
    (0, 0, 0, 0, 0, 0, 0),
    (0, 1, 1, 1, 1, 1, 0),
    (0, 1, 0, 0, 1, 0, 0),
    (0, 1, 0, 1, 0, 0, 0),
    (0, 1, 1, 0, 0, 0, 0),
    (0, 1, 0, 0, 0, 0, 0),
    (0, 0, 0, 0, 0, 0, 0),
)
CORNER = ((0, 0, 0), (0, 1, 1), (0, 1, 0))

KERNELS = {
    "identity": ((0, 0, 0), (0, 1, 0), (0, 0, 0)),
    "blur": ((0.1, 0.1, 0.1), (0.1, 0.2, 0.1), (0.1, 0.1, 0.1)),
    "sharpen": ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
    "edges": ((-1, -1, -1), (-1, 8, -1), (-1, -1, -1)),
    "vertical edges": ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)),
    "horizontal edges": ((-1, -2, -1), (0, 0, 0), (1, 2, 1)),
    "emboss": ((-2, -1, 0), (-1, 1, 1), (0, 1, 2)),
}
BLURS = 6  # one blur hardly shows on a picture of some hundred pixels
LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class Options:
    """Draw a picture as the kernels of image processing change it."""

    image: Annotated[Path | None, tyro.conf.Positional] = None
    """A picture; otherwise one that comes with matplotlib."""
    output: Path = Path("filters.png")
    """The file to write."""
    size: int = 320
    """The picture is reduced until its longer side has so many pixels at most."""
    dpi: int = 110
    """Pixels per inch of what is written."""
    background: Background | None = None
    """What stands behind transparent pixels; otherwise white, or black behind light ones."""


@program.telling
def main(arguments: Sequence[str] | None = None) -> int:
    """Draw; the exit code is 2 for a mistake in the options or a file that is no picture."""
    options = tyro.cli(
        Options,
        args=arguments,
        prog="python -m experiments.filters",
        description=Options.__doc__,
    )
    if not 20 <= options.dpi <= 1000:
        raise UserError(f"--dpi must be from 20 to 1000, got {options.dpi}.")
    picture = read(options.image, options.size, options.background)
    print_letter()
    draw(picture, options.output, options.dpi)
    print(options.output)
    return 0


def read(
    path: Path | None, size: int, background: Background | None = None
) -> Float[np.ndarray, "h w 3"]:
    """The picture in [0, 1], its longer side of `size` pixels at most; None is matplotlib's.

    Raises:
        UserError: the file is not there or no picture, or the size is too small.
    """
    from matplotlib import cbook

    if size < 3:
        raise UserError(f"--size must be at least 3, the size of the kernels, got {size}.")
    source = cbook.get_sample_data("grace_hopper.jpg", asfileobj=False) if path is None else path
    image = open_picture(Path(source), grey=False, background=background)
    image.thumbnail((size, size))
    if min(image.size) < 3:
        raise UserError(
            f"IMAGE must have at least 3 × 3 pixels, {path} has "
            f"{image.width} × {image.height} after its reduction to --size {size}."
        )
    return np.asarray(image, np.float32) / 255


def correlate(
    image: Float[Array, "h w c"], kernel: Sequence[Sequence[float]], *, same_size: bool = False
) -> Float[Array, "p q c"]:
    """image ⋆ kernel, each channel by itself; with the border reflected the size stays the same."""
    x = jnp.asarray(image)[None]
    window = jnp.asarray(kernel, x.dtype)[:, :, None, None]
    if same_size:
        x = jaxcnn.pad(x, [(k // 2, k // 2) for k in window.shape[:2]], "reflect")
    if x.shape[-1] == 1:
        return jaxcnn.conv(x, window)[0]
    return jaxcnn.depthwise_conv(x, jnp.tile(window, (1, 1, 1, x.shape[-1])))[0]


def filtered(image: Float[Array, "h w c"], name: str) -> Float[Array, "h w c"]:
    """The picture after the kernel of this name; for kernels of sum 0, around 0.5."""
    for _ in range(BLURS if name == "blur" else 1):
        image = correlate(image, KERNELS[name], same_size=True)
    return image + (0.5 if np.sum(KERNELS[name]) == 0 else 0.0)


def grey(picture: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 1"]:
    """The luminance: as eyes see it, green counts most."""
    return (picture * np.asarray(LUMINANCE, picture.dtype)).sum(-1, keepdims=True)


def print_letter() -> None:
    """The lecture's letter under its kernels, side by side."""
    from rich.columns import Columns
    from rich.console import Console
    from rich.panel import Panel

    letter = jnp.asarray(LETTER, jnp.float32)[..., None]
    tables = {"input": np.asarray(LETTER, float)}
    for name, kernel in {"corner": CORNER, **{k: KERNELS[k] for k in ("identity", "blur")}}.items():
        tables[name] = np.asarray(correlate(letter, kernel))[..., 0]
    panels = [
        Panel("\n".join(" ".join(f"{v:.1f}".removesuffix(".0").rjust(3) for v in row)
                        for row in table), title=name, expand=False)
        for name, table in tables.items()
    ]  # fmt: skip
    Console(highlight=False, width=100).print(Columns(panels))


def draw(picture: Float[np.ndarray, "h w 3"], path: Path, dpi: int = 110) -> None:
    """All kernels, their numbers above what they do: grey in the upper row, colour below."""
    from matplotlib.figure import Figure

    names = list(KERNELS)
    aspect = picture.shape[0] / picture.shape[1]
    width = 2.1
    height = 2 * width * aspect + 1.15
    figure = Figure(figsize=(width * len(names), height), layout="constrained", dpi=dpi)
    axes = figure.subplots(2, len(names), squeeze=False)
    for row, image in zip(axes, (grey(picture), picture), strict=True):
        for axis, name in zip(row, names, strict=True):
            result = np.clip(np.asarray(filtered(jnp.asarray(image), name)), 0, 1)
            axis.imshow(result.squeeze(), cmap="gray", vmin=0, vmax=1)
            axis.set_axis_off()
    for axis, name in zip(axes[0], names, strict=True):
        rows = "\n".join(" ".join(f"{value:g}".rjust(3) for value in row) for row in KERNELS[name])
        title = f"{name}, {BLURS} times" if name == "blur" else name
        axis.set_title(f"{title}\n{rows}", fontsize=9, family="monospace")
    try:
        # With its format said, matplotlib adds no ending to a name that has none.
        figure.savefig(path, format=path.suffix[1:] or "png")
    except OSError as error:
        raise UserError(f"--output {path} cannot be written: {error.strerror}.") from error
    except ValueError as error:
        raise UserError(f"--output {path} has an ending that is no picture's: {error}.") from error


if __name__ == "__main__":
    program.run(main)
