"""A picture of the user's own, as Pillow reads it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from experiments.options import UserError

if TYPE_CHECKING:
    from PIL import Image


def open_picture(path: Path, *, grey: bool, invert: bool = False) -> Image.Image:
    """The picture the way up that its camera noted, in grey or in colour.

    invert: turn light and dark around, for ink on paper where a set has light digits on dark.

    Raises:
        UserError: the file cannot be read, or is no picture.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            upright = ImageOps.exif_transpose(opened)
            picture = upright.convert("L" if grey else "RGB")
    # Pillow raises these two for damaged chunks of a PNG and for damaged notes of a camera.
    except (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise UserError(f"{path} is no image that can be read.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error
    return ImageOps.invert(picture) if invert else picture
