"""A picture of the user's own: whatever its mode, format, depth and transparency, what 8-bit grey
would have shown, or a sentence.
"""

import re
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from experiments import data, inspect, predict
from experiments.command_line.options import TrainOptions, UserError
from experiments.data.picture import open_picture
from experiments.looking import report
from experiments.training import material

OPTIONS = TrainOptions()
CHOSEN = 24  # of the test images of mnist5k


@pytest.fixture(scope="module")
def digit():
    """A digit of MNIST, light on dark, enlarged; odd and not square."""
    image = data.load("mnist5k").test.images[CHOSEN, ..., 0]
    return np.kron(image, np.ones((3, 3), np.uint8))[:-1, 4:-3]


def seen(path, **look):
    return material.read_picture(path, OPTIONS, **look)[..., 0].astype(int)


def saved(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def chunk(kind, content):
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def png(shape, bits, colour, rows, transparent=None, notes=b""):
    """PNG with a depth and a transparent colour that Pillow does not write."""
    head = struct.pack(">IIBBBBB", shape[1], shape[0], bits, colour, 0, 0, 0)
    trns = b"" if transparent is None else chunk(b"tRNS", transparent)
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", head), notes, trns, chunk(b"IDAT", packed), chunk(b"IEND", b"")]
    )


def tiff(values, photometric=1, kind=None, extra=(), bits=None):
    """An uncompressed TIFF of one strip, in the byte order of the values."""
    order = "<" if values.dtype.byteorder in "<=|" else ">"
    channels = values.shape[2] if values.ndim == 3 else 1
    each = bits or values.dtype.itemsize * 8
    kind = kind or {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    content = values.tobytes()
    wanted = [(256, values.shape[1]), (257, values.shape[0])]
    wanted += [(258, each)] * (channels == 1) + [(259, 1), (262, photometric), (273, 8)]
    wanted += [(277, channels), (278, values.shape[0]), (279, len(content)), (339, kind)]
    wanted += [(338, value) for value in extra]
    entries = {tag: struct.pack(order + "HHIHH" if tag not in (273, 279) else order + "HHII",
                                tag, *((3, 1, value, 0) if tag not in (273, 279)
                                       else (4, 1, value))) for tag, value in wanted}  # fmt: skip
    after = 8 + len(content) + len(content) % 2
    if channels > 1:
        where = after + 2 + 12 * (len(entries) + 1) + 4
        packed = struct.pack(f"{order}{channels}H", *[each] * channels)
        entries[258] = struct.pack(order + "HHI", 258, 3, channels) + (
            packed.ljust(4, b"\0") if channels <= 2 else struct.pack(order + "I", where)
        )
    directory = struct.pack(order + "H", len(entries))
    directory += b"".join(entries[tag] for tag in sorted(entries)) + bytes(4)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, after)
    tail = struct.pack(f"{order}{channels}H", *[each] * channels) if channels > 2 else b""
    return head + content.ljust(after - 8, b"\0") + directory + tail


def wide(grey):
    """16 bits of the same grey."""
    return grey.astype(np.uint16) * 257


def packed_bits(values, bits):
    """Rows of 1, 2 or 4 bits an element."""
    each = np.unpackbits(values[..., None].astype(np.uint8), axis=-1)[..., 8 - bits :]
    return np.packbits(each.reshape(len(values), -1), axis=-1)


def alike(grey):  # (what is saved, what must be seen) of opaque pictures
    return grey, grey


def ink(grey):
    """Dark ink on a clear ground, whose invisible colour is dark, too."""
    return np.stack([np.zeros_like(grey)] * 3 + [grey], -1), 255 - grey


def light_ink(grey):
    """Light ink on a clear ground, whose invisible colour is light, too."""
    return np.stack([np.full_like(grey, 255)] * 3 + [grey], -1), grey


def hard(grey):
    return np.where(grey > 127, 255, 0).astype(np.uint8)


def by_pillow(ending, mode=None, **options):
    def write(path, pixels):
        image = Image.fromarray(pixels)
        image = image if mode is None else image.convert(mode)
        image.save(path.with_suffix(ending), **options)

    return ending, write


def by_hand(ending, content):
    return ending, lambda path, pixels: path.with_suffix(ending).write_bytes(content(pixels))


def la(pixels):
    return np.ascontiguousarray(pixels[..., [0, 3]])


def premultiplied(pixels):
    return np.concatenate([pixels[..., :3] // 255 * pixels[..., 3:], pixels[..., 3:]], -1)


def keyed(bits):
    """A grey PNG whose ink is dark and whose ground is the lightest grey, which is transparent,
    with another grey between them.
    """

    def content(grey):
        top = 2**bits - 1
        values = np.where(grey > 127, 0, top)
        key = struct.pack(">H", top)
        rows = values.astype(">u2") if bits == 16 else packed_bits(values, bits)
        return png(grey.shape, bits, 0, rows, key)

    return by_hand(".png", content)


def keyed_colour(bits):
    def content(grey):
        values = np.where(grey > 127, 0, 2**bits - 1)[..., None].repeat(3, -1)
        rows = values.astype(">u2" if bits == 16 else ">u1")
        return png(grey.shape, bits, 2, rows, struct.pack(">3H", *[2**bits - 1] * 3))

    return by_hand(".png", content)


def palette(ending, alpha, **options):
    """Ink of one colour; the ground of another is transparent."""

    def write(path, grey):
        image = Image.fromarray(hard(grey) // 255)
        image = image.convert("P")
        image.putpalette([0, 0, 0, 10, 10, 10])
        image.save(path.with_suffix(ending), transparency=alpha, **options)

    return ending, write


def clear_hard(grey):  # dark ink of (10, 10, 10) on white
    return grey, np.where(grey > 127, 10, 255).astype(np.uint8)


def hard_dark(grey):
    return grey, 255 - hard(grey)


def floats(white, order):
    return lambda g: tiff((g / 255 * white).astype(order + "f4"))


KINDS = {
    "L PNG": (alike, by_pillow(".png")),
    "L GIF": (alike, by_pillow(".gif")),
    "L TIFF by LZW": (alike, by_pillow(".tif", compression="tiff_lzw")),
    "L BMP": (alike, by_pillow(".bmp")),
    "L PGM": (alike, by_pillow(".pgm")),
    "L TGA": (alike, by_pillow(".tga")),
    "L JPEG": (alike, by_pillow(".jpg", quality=100)),
    "L JPEG 2000": (alike, by_pillow(".jp2")),
    "L TIFF, white is zero": (alike, by_hand(".tif", lambda g: tiff(255 - g, 0))),
    "L TIFF, signed": (alike, by_hand(".tif", lambda g: tiff((g // 2).astype(np.int8)))),
    "RGB PNG": (alike, by_pillow(".png", "RGB")),
    "RGB WebP": (alike, by_pillow(".webp", "RGB", lossless=True)),
    "RGB JPEG": (alike, by_pillow(".jpg", "RGB", quality=100)),
    "YCbCr JPEG": (alike, by_pillow(".jpg", "YCbCr", quality=100)),
    "CMYK TIFF": (alike, by_pillow(".tif", "CMYK")),
    "CMYK JPEG": (alike, by_pillow(".jpg", "CMYK", quality=100)),
    "LAB TIFF": (alike, by_hand(".tif", lambda g: tiff(
        np.stack([lightness(g), np.zeros_like(g), np.zeros_like(g)], -1), 8))),
    "P PNG": (alike, by_pillow(".png", "P")),
    "RGBA PNG, opaque": (alike, by_pillow(".png", "RGBA")),
    "1 PNG": (lambda g: (hard(g), hard(g)), by_pillow(".png", "1")),
    "1 TIFF by G4": (lambda g: (hard(g), hard(g)), by_pillow(".tif", "1", compression="group4")),
    "1 PBM": (lambda g: (hard(g), hard(g)), by_pillow(".pbm", "1")),
    "16 PNG": (alike, by_hand(".png", lambda g: png(g.shape, 16, 0, wide(g).astype(">u2")))),
    "16 RGB PNG": (alike, by_hand(".png", lambda g: png(
        g.shape, 16, 2, wide(g).astype(">u2")[..., None].repeat(3, -1)))),
    "16 PGM": (alike, by_hand(".pgm", lambda g: b"P5 %d %d 65535\n" % g.shape[::-1]
                              + wide(g).astype(">u2").tobytes())),
    "10 PGM": (alike, by_hand(".pgm", lambda g: b"P5 %d %d 1020\n" % g.shape[::-1]
                              + (wide(g) // 257 * 4).astype(">u2").tobytes())),
    "16 TIFF, little end first": (alike, by_hand(".tif", lambda g: tiff(wide(g).astype("<u2")))),
    "16 TIFF, big end first": (alike, by_hand(".tif", lambda g: tiff(wide(g).astype(">u2")))),
    "16 TIFF by LZW": (alike, (".tif", lambda path, g: Image.fromarray(wide(g)).save(
        path.with_suffix(".tif"), compression="tiff_lzw"))),
    "16 TIFF, white is zero": (alike, by_hand(".tif", lambda g: tiff(wide(255 - g), 0))),
    "16 TIFF, signed": (alike, by_hand(".tif", lambda g: tiff((wide(g) // 2).astype("<i2")))),
    "16 RGB TIFF": (alike, by_hand(".tif", lambda g: tiff(wide(g)[..., None].repeat(3, -1), 2))),
    "16 JPEG 2000": (alike, (".jp2", lambda path, g: Image.fromarray(wide(g)).save(
        path.with_suffix(".jp2")))),
    "32 TIFF": (alike, by_hand(".tif", lambda g: tiff(g.astype("<u4") * 16843009))),
    "32 TIFF, signed, big end first": (alike, by_hand(".tif", lambda g: tiff(
        (g.astype("u4") * 16843009 // 2).astype(">i4")))),
    "float TIFF to 1": (alike, by_hand(".tif", floats(1, "<"))),
    "float TIFF to 255, big end first": (alike, by_hand(".tif", floats(255, ">"))),
    "float PFM": (alike, by_hand(".pfm", lambda g: b"Pf\n%d %d\n-1.0\n" % g.shape[::-1]
                                 + (g[::-1] / 255).astype("<f4").tobytes())),
    "RGBA PNG": (ink, by_pillow(".png")),
    "RGBA PNG, light ink": (light_ink, by_pillow(".png")),
    "RGBA WebP": (ink, by_pillow(".webp", lossless=True)),
    "RGBA TIFF": (ink, by_pillow(".tif")),
    "RGBA TIFF, premultiplied, light ink": (light_ink, by_hand(
        ".tif", lambda p: tiff(premultiplied(p), 2, extra=(1,)))),
    "RGBA ICO": (ink, by_pillow(".ico", sizes=[(77, 83)])),
    "RGBA JPEG 2000": (ink, by_pillow(".jp2")),
    "LA PNG": (ink, by_hand(".png", lambda p: png(p.shape, 8, 4, la(p)))),
    "LA PNG, light ink": (light_ink, by_hand(".png", lambda p: png(p.shape, 8, 4, la(p)))),
    "16 LA PNG": (ink, by_hand(".png", lambda p: png(p.shape, 16, 4, wide(la(p)).astype(">u2")))),
    "16 RGBA PNG": (ink, by_hand(".png", lambda p: png(p.shape, 16, 6, wide(p).astype(">u2")))),
    "LA TIFF": (ink, by_hand(".tif", lambda p: tiff(la(p), extra=(2,)))),
    "LA TIFF, premultiplied": (light_ink, by_hand(
        ".tif", lambda p: tiff(la(premultiplied(p)), extra=(1,)))),
    "P PNG, one transparent colour": (clear_hard, palette(".png", 0)),
    "P PNG, alpha of every colour": (clear_hard, palette(".png", b"\0\xff")),
    "P GIF": (clear_hard, palette(".gif", 0)),
    "1 PNG with a transparent grey": (hard_dark, keyed(1)),
    "2 PNG with a transparent grey": (hard_dark, keyed(2)),
    "4 PNG with a transparent grey": (hard_dark, keyed(4)),
    "8 PNG with a transparent grey": (hard_dark, keyed(8)),
    "16 PNG with a transparent grey": (hard_dark, keyed(16)),
    "8 PNG with a transparent colour": (hard_dark, keyed_colour(8)),
    "16 PNG with a transparent colour": (hard_dark, keyed_colour(16)),
}  # fmt: skip


def lightness(grey):
    """CIE L* of sRGB's grey, 100 as 255."""
    share = grey / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    scaled = np.where(linear > 216 / 24389, 116 * np.cbrt(linear) - 16, linear * 24389 / 27)
    return np.rint(scaled * 2.55).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_is_seen_as_its_8_bit_grey(kind, digit, tmp_path):
    form, (ending, write) = KINDS[kind]
    given, expected = form(digit)
    write(tmp_path / "mine", given)
    path = (tmp_path / "mine").with_suffix(ending)
    try:
        Image.open(path).close()
    except Image.UnidentifiedImageError:  # two of the kinds are younger than our oldest Pillow
        with pytest.raises(UserError, match="is no image that can be read"):
            seen(path)
        return
    wanted = seen(saved(tmp_path / "grey.png", expected))
    assert wanted.max() - wanted.min() > 200
    lossy = "JPEG" in kind or "signed" in kind or "LAB" in kind
    np.testing.assert_allclose(seen(path), wanted, atol=4 if lossy else 1)


@pytest.mark.parametrize(("order", "white"), [("<", 65535), (">", 65535), ("<", 2**32 - 1)])
def test_a_ramp_of_256_levels_keeps_them(order, white, tmp_path):
    path = tmp_path / "ramp.tif"
    ramp = np.arange(256, dtype=np.uint8)[None].repeat(2, 0)
    path.write_bytes(tiff((ramp * (white / 255)).astype(f"{order}u{2 + 2 * (white > 65535)}")))
    np.testing.assert_array_equal(np.asarray(open_picture(path, grey=True)), ramp)


# Transparency -------------------------------------------------------------------------------------


def test_what_is_invisible_changes_nothing(digit, tmp_path):
    """Colours of the ground, and of a corner of it, under ink that is as light as dark."""
    found = []
    for hidden in (0, 255, 77):
        pixels = np.full((*digit.shape, 4), hidden, np.uint8)
        pixels[digit > 100] = [90, 90, 90, 255]
        pixels[:9, :9, :3] = 255 - hidden
        pixels[digit <= 100, 3] = 0
        found.append(seen(saved(tmp_path / "mine.png", pixels)))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("level", [0, 100, 155, 255])
def test_the_background_is_white_or_black_behind_light_ink_or_what_is_asked_for(level, tmp_path):
    pixels = np.zeros((28, 28, 4), np.uint8)
    pixels[9:20, 9:20] = [level, level, level, 255]
    path = saved(tmp_path / "mine.png", pixels)
    assert seen(path)[4, 4] == (255 if level < 128 else 0)
    for background, light in (("white", 255), ("black", 0)):
        if level != light:
            assert seen(path, background=background)[4, 4] == light
        else:
            with pytest.raises(UserError, match="of one even colour"):
                seen(path, background=background)
    assert seen(path, invert=True)[4, 4] == (0 if level < 128 else 255)


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((40, 30), 128, np.uint8),
        np.full((5, 9, 3), (255, 0, 9), np.uint8),
        np.zeros((50, 40, 4), np.uint8),
        np.random.default_rng(0).integers(0, [256, 256, 256, 1], (9, 9, 4), np.uint8),
        np.where(np.arange(4_000_000).reshape(2000, 2000) == 9, 200, 255).astype(np.uint8),
    ],
    ids=["grey", "colour", "clear", "hidden noise", "a speck that is lost"],
)  # fmt: skip
def test_a_picture_of_one_even_colour_gets_a_sentence(pixels, tmp_path):
    with pytest.raises(UserError, match=r"mine\.png shows nothing: .* one even colour\.$"):
        seen(saved(tmp_path / "mine.png", pixels))


# Shapes and notes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(60, 1), (1, 60), (5000, 1), (28, 27), (1, 1000)])
def test_long_pictures_keep_a_row(size, tmp_path):
    pixels = np.zeros(size, np.uint8)
    pixels.ravel()[pixels.size // 3 :] = 255
    found = seen(saved(tmp_path / "mine.png", pixels))
    assert found.max() > 200
    assert (found.max(0) > 0).any()


def test_a_streamed_set_takes_the_middle_square_of_however_long_a_picture(tmp_path):
    options = TrainOptions(model="resnet18", dataset="imagenet2012")
    pixels = np.zeros((2, 100_000), np.uint8)
    pixels[:, 50_000:] = 255  # enlarged as it is, it would have 3 billion pixels
    found = material.read_picture(saved(tmp_path / "mine.png", pixels), options)
    assert found.shape == (224, 224, 3)
    assert (found[:, 0].max(), found[:, -1].min()) == (0, 255)


def turned(orientation):
    """Exif notes with this orientation, little end first."""
    return b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([orientation, 0]) + bytes(6)


WAYS = {  # from what is stored to what was seen
    1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: np.transpose,
    6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).T, 8: np.rot90,
}  # fmt: skip


@pytest.mark.parametrize("orientation", WAYS)
@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp", ".tif"])
def test_a_picture_stands_as_its_camera_held_it(ending, orientation, digit, tmp_path):
    path = tmp_path / f"mine{ending}"
    notes = b"Exif\0\0" + turned(orientation)
    if ending == ".tif":  # of which Pillow writes no raw notes
        notes = Image.Exif()
        notes[0x0112] = orientation
    Image.fromarray(digit).save(path, exif=notes, lossless=True, quality=95)
    found = np.asarray(open_picture(path, grey=True)).astype(int)
    expected = WAYS[orientation](digit).astype(int)
    assert found.shape == expected.shape
    assert np.abs(found - expected).mean() < 3


NOTES = {
    "no notes": b"", "noise": b"\xff\x00\x12" * 20, "half a head": b"II*", "no end": turned(6)[:14],
    "another order": b"XX*\0" + turned(6)[4:], "a directory nowhere": b"II*\0\xff\xff\xff\x7f",
    "more entries than bytes": b"II*\0\x08\0\0\0\xff\xff" + turned(1)[10:],
    "an orientation in words": turned(6)[:12] + b"\x02\0\x02\0\0\0ab\0\0" + bytes(4),
    "an unknown orientation": turned(99),
    "another type": turned(6)[:12] + b"\x63\0" + turned(6)[14:],
    "a type of no length": turned(6)[:14] + bytes(4) + turned(6)[18:],
    "notes of notes nowhere":
        turned(1)[:10] + b"\x69\x87\x04\0\x01\0\0\0\xff\xff\xff\x7f" + bytes(4),
}  # fmt: skip


@pytest.mark.parametrize("damage", NOTES)
@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp"])
def test_damaged_notes_do_not_cost_the_picture(ending, damage, digit, tmp_path):
    path = tmp_path / f"mine{ending}"
    Image.fromarray(digit).convert("RGB").save(path, exif=b"Exif\0\0" + NOTES[damage],
                                               lossless=True, quality=95)  # fmt: skip
    found = np.asarray(open_picture(path, grey=True)).astype(int)
    assert np.abs(found - digit).mean() < 3


@pytest.mark.parametrize("damage", ["noise", "a directory nowhere", "no end"])
def test_a_chunk_of_damaged_notes_does_not_cost_a_png(damage, digit, tmp_path):
    path = tmp_path / "mine.png"
    path.write_bytes(png(digit.shape, 8, 0, digit, notes=chunk(b"eXIf", NOTES[damage])))
    np.testing.assert_array_equal(np.asarray(open_picture(path, grey=True)), digit)


# Refusals -----------------------------------------------------------------------------------------


def several(path, count=3):
    first, *others = (Image.fromarray(np.full((9, 9), 80 * k, np.uint8)) for k in range(count))
    first.save(path, save_all=True, append_images=others)
    return path


def written(path, content):
    path.write_bytes(content)
    return path


def fits():
    cards = ("SIMPLE  =                    T", "BITPIX  =                   16",
             "NAXIS   =                    2", "NAXIS1  =                    4",
             "NAXIS2  =                    4", "END")  # fmt: skip
    head = "".join(card.ljust(80) for card in cards).ljust(2880).encode()
    return head + np.arange(16, dtype=">i2").tobytes().ljust(2880, b"\0")


REFUSED = {
    "200 megapixels": (
        lambda p: written(p / "a.png", png((10_000, 20_000), 8, 0, np.zeros((1, 1), np.uint8))),
        "a.png has more than 178 megapixels, the most to be read.",
    ),
    "pages": (lambda p: several(p / "a.tif"), "a.tif holds 3 pictures, expected one."),
    "an animation": (lambda p: several(p / "a.gif"), "a.gif holds 3 pictures, expected one."),
    "numbers above 255": (
        lambda p: written(p / "a.tif", tiff(np.array([[0, 1031.5]], "<f4"))),
        "a.tif holds numbers from 0 to 1031.5, expected [0, 1] or [0, 255].",
    ),
    "negative numbers": (
        lambda p: written(p / "a.tif", tiff(np.array([[-0.25, 1]], "<f4"))),
        "a.tif holds numbers from -0.25 to 1, expected [0, 1] or [0, 255].",
    ),
    "NaN": (
        lambda p: written(p / "a.tif", tiff(np.array([[np.nan, 1]], "<f4"))),
        "a.tif holds numbers from nan to nan, expected [0, 1] or [0, 255].",
    ),
    "no white": (lambda p: written(p / "a.fits", fits()), "FITS does not say which of them is"),
    "an unknown depth": (
        lambda p: written(p / "a.tif", tiff(np.zeros((4, 4), "<u8"))),
        "a.tif is no image that can be read.",
    ),
    "a folder": (lambda p: p, "cannot be read: Is a directory."),
    "nothing": (lambda p: written(p / "a.png", b""), "a.png is no image that can be read."),
    "a text": (lambda p: written(p / "a.png", b"no picture"), "a.png is no image that"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_shown_is_refused_by_name(kind, tmp_path):
    make, sentence = REFUSED[kind]
    with pytest.raises(UserError) as caught:
        open_picture(make(tmp_path), grey=True)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def changed(content, place, new):
    place %= len(content)
    return content[:place] + new + content[place + len(new) :]


DAMAGES = {
    "half": lambda c: c[: len(c) // 2],
    "only a head": lambda c: c[:30],
    "no end": lambda c: c[:-9],
    "other numbers in the head": lambda c: changed(c, 16, b"\xff\x03\xff\x03"),
    "zeros in the middle": lambda c: changed(c, len(c) // 2, bytes(40)),
    "noise in the middle": lambda c: changed(c, len(c) // 2, b"\xff\x9a\x01\x77" * 9),
    "other numbers at the end": lambda c: changed(c, -40, b"\x80\x01\xff\x07"),
    "twice": lambda c: c + c,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("ending", [".png", ".jpg", ".gif", ".webp", ".tif", ".bmp", ".pgm"])
def test_a_damaged_picture_is_read_or_named(ending, damage, digit, tmp_path):
    whole = saved(tmp_path / f"whole{ending}", digit).read_bytes()
    path = written(tmp_path / f"mine{ending}", DAMAGES[damage](whole))
    try:
        said = str(seen(path).shape)
    except UserError as error:
        said = str(error)
    assert re.fullmatch(rf"\(32, 32\)|{re.escape(str(path))} .*\.", said)


# One function -------------------------------------------------------------------------------------


def test_predict_and_inspect_are_given_the_same_pixels(run, opened, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    path = saved(tmp_path / "mine.png", rng.integers(0, 256, (90, 61, 4), np.uint8))
    given = []
    read = material.read_picture

    def noted(*arguments, **options):
        given.append(read(*arguments, **options))
        return given[-1]

    monkeypatch.setattr(material, "read_picture", noted)
    predict.predict(predict.PredictOptions((path,), run, invert=True, background="black"))
    judged = report.Judged(opened.test_images(), np.full((1000, 10), 0.1))
    options = inspect.Options(run, path, invert=True, background="black")
    chosen = inspect.choose(options, opened, judged)
    np.testing.assert_array_equal(given[0], given[1])
    np.testing.assert_array_equal(chosen.pixels, given[0])


def test_a_large_picture_is_read_without_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    path = saved(tmp_path / "mine.png", np.eye(30, dtype=np.uint8) * 255)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert seen(path).max() > 100
