"""A picture of the user's own, as Pillow reads it: 8 bits, upright, nothing transparent left.

Pillow cuts what is deeper than 8 bits off at 255, gives invisible pixels the colour that happens to
stand in the file, and takes the transparent grey of a shallow PNG for one of 8 bits.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import UInt8

from experiments.command_line.options import UserError

if TYPE_CHECKING:
    from PIL import Image

Background = Literal["white", "black"]

PARTS = "MPO", "PSD"  # formats whose first picture is the whole one, and further ones its parts
ORIENTATION = 0x0112  # Exif's tag, and how Pillow calls the way back from each value
TURNS = dict(
    zip(
        range(2, 9),
        ("FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270",
         "TRANSVERSE", "ROTATE_90"),
        strict=True,
    )
)  # fmt: skip
# Of a grey PNG: by how much Pillow multiplies its pixels, but not its transparent grey.
SHALLOW = {"1": 255, "L;2": 85, "L;4": 17}
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339  # TIFF 6.0's tags
# White of the formats that say what it is and are read with more than 8 bits, scaled to 16.
WHITE = {"PNG": 65535, "PPM": 65535, "JPEG2000": 65535}


def open_picture(
    path: Path, *, grey: bool, invert: bool = False, background: Background | None = None
) -> Image.Image:
    """The picture the way up that its camera noted, in grey or in colour.

    invert: turn light and dark around, for ink on paper where a set has light digits on dark.
    background: what stands behind what is transparent; otherwise white, or black where what is
    visible is lighter than mid-grey.

    Raises:
        UserError: the file cannot be read, is no picture, or does not say what is white.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is large or odd is read, or refused below
            # Of a file that Pillow opens itself, it maps a turned TIFF before it turns its sides.
            with path.open("rb") as file, Image.open(file) as opened:
                pages = getattr(opened, "n_frames", 1)
                if pages > 1 and opened.format not in PARTS:
                    raise UserError(f"{path} holds {pages} pictures, expected one.")
                picture = _composed(_eight_bits(opened, path), background)
                turn = TURNS.get(_orientation(opened))
            if turn is not None:
                picture = picture.transpose(Image.Transpose[turn])
            picture = picture.convert("L" if grey else "RGB")
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6  # Pillow only warns of half of it
        raise UserError(f"{path} has more than {most} megapixels, the most to be read.") from error
    except UnidentifiedImageError as error:
        raise UserError(f"{path} is no image that can be read.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # whatever a format's reader makes of a damaged file
        raise UserError(f"{path} is no image that can be read.") from error
    return ImageOps.invert(picture) if invert else picture


def resized(picture: Image.Image, shape: tuple[int, int, int]) -> UInt8[np.ndarray, "p q *c"]:
    """The picture as large as fits into the height and width, with the sides' own ratio."""
    from PIL import Image

    h, w, _ = shape
    factor = min(w / picture.width, h / picture.height)
    width, height = (max(1, round(factor * side)) for side in picture.size)
    return np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS))


def amid(
    pixels: UInt8[np.ndarray, "p q *c"], shape: tuple[int, int, int]
) -> UInt8[np.ndarray, "h w c"]:
    """The pixels in the middle of zeros."""
    placed = np.zeros(shape, np.uint8)
    top, left = ((shape[axis] - pixels.shape[axis]) // 2 for axis in (0, 1))
    inside = placed[top : top + pixels.shape[0], left : left + pixels.shape[1]]
    inside[:] = pixels.reshape(inside.shape)
    return placed


def _orientation(opened: Image.Image) -> Any:
    """What the camera noted of how it was held; None where Pillow has turned it already."""
    try:
        return None if opened.format == "TIFF" else opened.getexif().get(ORIENTATION)
    except Exception:  # whatever damage makes of notes: they are not the picture
        return None


def _eight_bits(opened: Image.Image, path: Path) -> Image.Image:
    """Its pixels with 8 bits, of which some may be transparent."""
    from PIL import Image

    key = opened.info.get("transparency")  # a grey or a colour; of a palette Pillow knows better
    tiles: Any = getattr(opened, "tile", None)  # Pillow's note of how pixels are packed
    raw = tiles[0][3] if opened.format == "PNG" else None
    opened.load()
    if opened.mode.startswith(("I", "F")) or _signed(opened):
        picture = Image.fromarray(_scaled(opened, path))
    else:  # Pillow reaches no other mode from these than their own
        own = {"LAB": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "La": "LA", "RGBa": "RGBA", "1": "L"}
        picture = opened.convert(own.get(opened.mode, opened.mode))
    if key is None or opened.mode not in ("1", "L", "RGB", "I", "I;16"):
        return picture.convert("RGBA")
    if opened.mode == "RGB" and raw == "RGB;16B":
        key = [value >> 8 for value in key]
    elif raw in SHALLOW:
        key = min(key * SHALLOW[raw], 255)
    values = np.asarray(opened if opened.mode != "1" else picture)
    visible = (values != key) if values.ndim == 2 else (values != key).any(-1)
    picture.info.pop("transparency", None)
    picture = picture.convert("RGBA")
    picture.putalpha(Image.fromarray(np.where(visible, 255, 0).astype(np.uint8)))
    return picture


def _tag(opened: Image.Image, tag: int, default: int) -> int:
    """The first value of a TIFF's tag; the default where there is none, or no TIFF."""
    value = getattr(opened, "tag_v2", {}).get(tag, default)
    return value[0] if isinstance(value, tuple) else value


def _signed(opened: Image.Image) -> bool:
    """Whether a TIFF's grey is of signed bytes, which Pillow takes for others."""
    return opened.mode == "L" and _tag(opened, SAMPLE_FORMAT, 1) == 2


def _scaled(opened: Image.Image, path: Path) -> UInt8[np.ndarray, "h w"]:
    """Grey of another depth than 8 bits, with white at 255.

    Raises:
        UserError: nothing says what is white.
    """
    values = np.asarray(opened)
    if opened.mode == "F":
        low, high = float(values.min()), float(values.max())
        if not 0 <= low <= high <= 255:  # nor NaN
            raise UserError(
                f"{path} holds numbers from {low:g} to {high:g}, expected [0, 1] or [0, 255]."
            )
        white = 1 if high <= 1 else 255
    elif opened.format == "TIFF":
        bits, signed = _tag(opened, BITS, 1), _tag(opened, SAMPLE_FORMAT, 1) == 2
        white = 2 ** (bits - signed) - 1
        if bits == 8:
            values = values.view(np.int8)
        elif bits == 32 and not signed:
            values = values.view(np.uint32)
    elif opened.format in WHITE:
        white = WHITE[opened.format]
    else:
        raise UserError(
            f"{path} holds numbers of more than 8 bits, and {opened.format} does not say which of "
            "them is white."
        )
    shares = np.clip(values.astype(np.float32) / white, 0, 1)
    if _tag(opened, PHOTOMETRIC, 1) == 0:  # white is zero: Pillow turns only 8 bits around
        shares = 1 - shares
    return np.rint(255 * shares).astype(np.uint8)


def _composed(picture: Image.Image, background: Background | None) -> Image.Image:
    """RGBA on its background: nothing of it depends on what cannot be seen."""
    from PIL import Image

    alpha = picture.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return picture.convert("RGB")
    if background is None:
        weights = np.asarray(alpha)
        light = np.asarray(picture.convert("RGB").convert("L"))
        visible = np.multiply(light, weights, dtype=np.uint16).sum(dtype=np.uint64)
        background = "black" if visible > 127.5 * weights.sum(dtype=np.uint64) else "white"
    ground = Image.new("RGBA", picture.size, background)
    return Image.alpha_composite(ground, picture).convert("RGB")
