"""All numbers that decide between forms, or how much a form computes at a time.

Each has its unit, and rows of `python -m experiments.benchmark --forms` on either side of it, where
the form that it is about is measured against `plain`. The numbers were found on CPUs; on another
one, or with another compiler, they may lie elsewhere.
"""

from __future__ import annotations

FOUND = "2026-11, jax 0.10.2"
AGAIN = "2026-11, jax 0.12.0.1"


class Threshold(int):
    """A number that knows what it counts, and where it was measured."""

    unit: str
    form: str
    """The form that it is about."""
    below: str
    """A row of the benchmark where what is counted is no larger."""
    above: str
    """A row of the benchmark where it is larger."""
    decides: bool
    """Whether the form is taken on one side only; otherwise it computes less at a time."""
    measured: str
    """When, and with which version."""

    def __new__(
        cls,
        value: int,
        unit: str,
        form: str,
        below: str,
        above: str,
        decides: bool = True,
        measured: str = FOUND,
    ) -> Threshold:
        """The number, with what is known of it."""
        self = super().__new__(cls, value)
        self.unit, self.form, self.measured = unit, form, measured
        self.below, self.above = (f"forms/{form}/{row}" for row in (below, above))
        self.decides = decides
        return self


# Depthwise: with more products per element the program would be long, and a convolution loses less.
MAX_PRODUCTS = Threshold(
    128, "products per element of a group", "depthwise",
    "64x19x19x24-to-24-5x5-g24/forward", "32x28x28x128-to-128-3x3-g32/forward",
)  # fmt: skip
# With several filters per channel, fewer groups leave the vector registers half empty.
SIDE_BY_SIDE = Threshold(
    7, "groups of several channels", "depthwise",
    "64x16x16x8-to-8-3x3-g4/forward", "64x16x16x32-to-32-3x3-g16/forward",
)  # fmt: skip
# How many rows a kernel gradient adds element by element (all, if there are at most twice as many),
# and how many products: with many taps it adds fewer rows, or the program would be long.
ROWS_ADDED = Threshold(
    8, "rows of a map", "depthwise",
    "128x8x8x128-to-128-3x3-g128/kernel_grad",
    "64x28x28x64-to-64-3x3-g64/kernel_grad", decides=False,
)  # fmt: skip
PRODUCTS = Threshold(
    200, "taps times rows", "depthwise",
    "64x28x28x64-to-64-3x3-g64/kernel_grad", "16x28x28x64-to-64-7x7-g64/kernel_grad", decides=False,
)  # fmt: skip
# With more taps, one row of the window at a time: the programs are shorter, and faster.
TAPS_IN_ONE_PASS = Threshold(
    49, "taps", "depthwise",
    "16x28x28x64-to-64-7x7-g64/kernel_grad", "64x14x14x96-to-96-9x9-g96/kernel_grad",
    decides=False, measured=AGAIN,
)  # fmt: skip
# Bytes of sums over rows and of maps copied for them: anything larger is allocated on every call.
SUM_BYTES = Threshold(
    4 * 2**20, "bytes of sums", "depthwise",
    "8x8x8x64-to-64-3x3-g64/kernel_grad", "64x28x28x64-to-64-3x3-g64/kernel_grad", decides=False,
)  # fmt: skip

# Grouped: with more groups it is one convolution again, or the program would be long.
MAX_GROUPS = Threshold(
    64, "groups", "grouped",
    "64x16x16x64-to-64-3x3-g4/forward", "16x14x14x288-to-288-3x3-g72/forward",
)  # fmt: skip

# Phases: a convolution for each pays if its channels fill vector registers and the phases are few:
# the results of many are interleaved number by number.
FEW_PHASES = Threshold(
    8, "phases", "phases",
    "64x8x8x64-to-32-5x5-s2/forward", "64x8x8x64-to-32-5x5-s3/forward",
)  # fmt: skip
FILTERS_APART = Threshold(
    15, "filters", "phases",
    "64x16x16x32-to-8-3x3-s2/forward", "64x8x8x64-to-32-5x5-s2/forward",
)  # fmt: skip
# Where convolutions are slow, XLA's products with zeros are the faster way from this many filters
# on, however many phases there are.
MANY_FILTERS = Threshold(
    31, "filters", "phases joined",
    "64x16x16x32-to-16-3x3-s2/forward-default", "32x8x8x64-to-64-5x5-s5/forward-default",
    measured=AGAIN,
)  # fmt: skip

# Banded: the library is fast from one or two channels to many, and otherwise from this many pairs
# on; XLA's own code copies windows first, four channels or more at once.
FEW_PAIRS = Threshold(
    64, "channels in times out", "banded",
    "32x28x28x6-to-8-5x5/forward-default", "32x28x28x8-to-16-5x5/forward-default",
)  # fmt: skip
FEW_PAIRS_TOLD = Threshold(
    128, "channels in times out", "banded",
    "128x14x14x6-to-16-5x5/forward", "32x14x14x8-to-32-5x5/forward",
)  # fmt: skip
LIBRARY_FAST = Threshold(
    2, "channels in", "banded",
    "32x28x28x2-to-24-5x5/forward-default", "32x28x28x3-to-20-5x5/forward-default",
)  # fmt: skip
COPIED_ALONE = Threshold(
    4, "channels in", "banded",
    "32x28x28x4-to-48-5x5/forward", "32x28x28x5-to-48-5x5/forward",
)  # fmt: skip
CHANNELS_BANDED = Threshold(
    16, "channels in", "banded",
    "32x28x28x16-to-4-5x5/forward-default", "32x28x28x20-to-3-5x5/forward-default",
)  # fmt: skip
FILTERS_BANDED = Threshold(
    16, "filters", "banded",
    "32x28x28x2-to-16-5x5/forward-default", "32x28x28x2-to-24-5x5/forward-default",
)  # fmt: skip
FEW_OF_BOTH = Threshold(
    15, "channels, the more of both sides", "banded",
    "32x28x28x12-to-12-5x5/forward", "32x28x28x16-to-12-5x5/forward",
)  # fmt: skip
FILTERS_COPIED = Threshold(
    64, "filters", "banded",
    "16x57x33x3-to-48-7x7-s2/forward", "8x57x57x3-to-96-11x11-s4/forward",
)  # fmt: skip
NARROW = Threshold(
    2, "taps in a row", "banded",
    "32x28x28x3-to-8-2x2/forward", "32x28x28x3-to-8-3x3/forward",
)  # fmt: skip
# How many outputs become channels.
NEIGHBOURS = Threshold(
    2, "channels, the fewer of both sides", "banded",
    "128x32x32x1-to-6-5x5/forward", "128x14x14x6-to-16-5x5/forward", decides=False,
)  # fmt: skip
NEIGHBOURS_OF_STRIDES = Threshold(
    96, "channels in times out", "banded",
    "32x32x32x3-to-16-3x3-s2/forward", "16x57x33x3-to-48-7x7-s2/forward", decides=False,
)  # fmt: skip

# Patches: smaller ones are not worth their writing.
MIN_PATCH = Threshold(
    15, "numbers in a patch", "patches",
    "2x32x32x1-to-16-3x3/kernel_grad", "2x32x32x2-to-16-3x3/kernel_grad",
)  # fmt: skip
FEW_IMAGES = Threshold(
    2, "images", "patches",
    "2x32x32x16-to-16-3x3/kernel_grad", "4x32x32x16-to-16-3x3/kernel_grad",
)  # fmt: skip
# With no more filters than fill a vector register, or no more input channels than this, a
# convolution of some images at a time is as fast as writing the patches, or faster.
FEW_INPUTS = Threshold(
    32, "channels in", "patches",
    "128x16x16x32-to-32-3x3/kernel_grad-default", "128x8x8x64-to-64-3x3/kernel_grad-default",
)  # fmt: skip
FILTERS_OF_PATCHES = Threshold(
    32, "filters", "patches",
    "128x8x8x64-to-32-3x3/kernel_grad-default", "128x8x8x64-to-64-3x3/kernel_grad-default",
    measured=AGAIN,
)  # fmt: skip
# Each row of a window, and each place in one, is a slice in the program: 512 compile for a minute.
# Along one axis a loop over the taps is then the faster way, too.
MANY_SLICES = Threshold(
    64, "slices of maps", "patches",
    "2x64x64x8-to-16-31x31/kernel_grad", "2x1024x16-to-16-64/kernel_grad", measured=AGAIN,
)  # fmt: skip
# Bytes of patches at a time: a second-level cache and a bit.
PATCH_BYTES = Threshold(
    3 * 2**19, "bytes of patches", "patches",
    "2x8x8x64-to-64-3x3/kernel_grad", "128x8x8x64-to-64-3x3/kernel_grad-default", decides=False,
)  # fmt: skip
# For one row of the kernel: a product with fewer columns of patches leaves processors idle.
MIN_COLUMNS = Threshold(
    15, "columns of patches", "patches",
    "2x32x32x4-to-16-3x3/kernel_grad", "2x32x32x16-to-16-3x3/kernel_grad", decides=False,
)  # fmt: skip

# Parts: bytes of the map to transpose at a time, a second-level cache; smaller ones stay whole.
MAP_BYTES = Threshold(
    2**20, "bytes of maps", "parts",
    "32x8x8x64-to-64-3x3/kernel_grad", "128x32x32x16-to-16-3x3/kernel_grad",
)  # fmt: skip
# With fewer images the convolution has too few channels, with fewer places too short sums.
MIN_IMAGES = Threshold(
    15, "images in a part", "parts",
    "16x57x57x32-to-32-3x3/kernel_grad", "64x57x57x32-to-32-3x3/kernel_grad",
)  # fmt: skip
MIN_PLACES = Threshold(
    2**12 - 1, "places in a part", "parts",
    "64x7x7x256-to-256-3x3/kernel_grad", "256x7x7x256-to-256-3x3/kernel_grad",
)  # fmt: skip
# For larger windows the products take so long that the transposition does not matter.
MAX_TAPS = Threshold(
    25, "taps", "parts",
    "100x21x21x24-to-24-5x5/kernel_grad", "32x32x32x16-to-16-7x7/kernel_grad",
)  # fmt: skip
# By default each image takes longer if there are more than this many, twice as many for few
# filters.
SLOW_IMAGES = Threshold(
    8, "images", "parts",
    "8x16x16x32-to-32-3x3/kernel_grad-default", "128x16x16x32-to-32-3x3/kernel_grad-default",
)  # fmt: skip
FEW_FILTERS = Threshold(
    16, "filters", "parts",
    "128x32x32x16-to-16-3x3/kernel_grad-default",
    "128x32x32x16-to-32-3x3/kernel_grad-default", decides=False,
)  # fmt: skip

# Pointwise: into how many parts a sum is cut, and how many places a part has at least per channel.
FEW_PARTS = Threshold(
    4, "parts of a sum", "pointwise",
    "2x16x16x64-to-64-1x1/kernel_grad", "128x16x16x64-to-128-1x1/kernel_grad", decides=False,
)  # fmt: skip
PLACES = Threshold(
    16, "places for each channel", "pointwise",
    "32x9x31x96-to-24-1x1/kernel_grad", "128x16x16x64-to-128-1x1/kernel_grad", decides=False,
)  # fmt: skip

# Maxima: where convolutions are slow, windows of up to this many elements are left to XLA.
SMALL_WINDOW = Threshold(
    9, "elements of a window", "by axis",
    "max_pool-64x31x31x64-3x3-s2/forward-default", "max_pool-16x20x20x64-5x5-s1/forward-default",
)  # fmt: skip
# Up to this many taps the gradient is as fast through all of them at once as axis by axis.
FEW_SWITCHES = Threshold(
    25, "elements of a window", "axis by axis",
    "max_pool-16x20x20x64-5x5-s1/all", "max_pool-16x20x20x64-7x7-s1/all",
)  # fmt: skip
# With fewer channels XLA's loops over them are no vector loops.
VECTOR_LOOP = Threshold(
    7, "channels", "tiling",
    "max_pool-128x28x28x6-2x2/all", "max_pool-128x16x16x64-2x2/all", decides=False,
)  # fmt: skip
# Up to this many taps along an axis are slices of the map, which XLA sums in one pass; with more of
# them, each step of a loop takes this many.
FEW_TAPS = Threshold(
    8, "taps along an axis", "by axis",
    "avg_pool-64x31x31x64-3x3-s2/forward", "avg_pool-16x32x32x64-9x9-s2/forward", decides=False,
)  # fmt: skip

# Kernels: with fewer channels out the lanes of a vector are empty, and XLA's loops are no worse.
FILLED = Threshold(
    25, "% of a vector's lanes", "native",
    "128x32x32x1-to-6-5x5/input_grad", "128x32x32x16-to-16-3x3/input_grad",
)  # fmt: skip
# Each phase has loops of its own, and compiling them takes time.
MOST_PHASES = Threshold(
    9, "phases between the elements of a map", "native",
    "32x8x8x64-to-64-5x5-s3/forward", "32x8x8x64-to-64-5x5-s4/forward",
)  # fmt: skip
# Windows of one element: with more channels in, XLA's product of matrices is as fast, and so are
# its sums over places where there are many of them side by side.
FEW_POINTWISE = Threshold(
    15, "channels in", "native",
    "32x14x14x12-to-96-1x1/forward", "128x32x32x16-to-32-1x1/forward", measured=AGAIN,
)  # fmt: skip
LARGE_PRODUCT = Threshold(
    2**17 - 1, "channels in times out", "native",
    "128x8x8x128-to-256-1x1/kernel_grad", "64x7x7x512-to-512-1x1/kernel_grad", measured=AGAIN,
)  # fmt: skip
