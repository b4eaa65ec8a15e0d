"""The forms of poolings and of their adjoints, in order: the first that serves is taken.

Elsewhere than on a CPU most were not measured, and it is left to XLA.
"""

from jaxcnn.lowering.forms import Form
from jaxcnn.lowering.pooling import maxima, native, sums, switches
from jaxcnn.lowering.problem import Problem

Forms = tuple[Form[Problem], ...]

_MAXIMA: Forms = (
    Form(
        "whole",
        maxima.of_the_whole,
        "one reduction, no step per tap in the program",
        cannot=maxima.cannot_be_whole,
        everywhere=True,
    ),
    Form("by axis", maxima.by_axis, "kh + kw comparisons instead of kh · kw", slower=maxima.slower),
    Form("plain", maxima.plain, "XLA's reduction of windows"),
)

_SWITCHES: Forms = (
    Form(
        "whole",
        maxima.switches_of_the_whole,
        "two reductions, no step per tap in the program",
        cannot=maxima.cannot_be_whole,
        everywhere=True,
    ),
    Form("plain", maxima.with_switches, "kh + kw comparisons, one axis after the other"),
)

STEPS: Forms = (
    Form(
        "axis by axis",
        maxima.steps_by_axis,
        "kh + kw comparisons backward, too, for switches of each axis",
        cannot=maxima.cannot_step,
        slower=maxima.slower_in_steps,
        everywhere=True,
    ),
    Form("plain", maxima.one_step, "one switch for each window"),
)

GATHERS: Forms = (
    Form(
        "tiling",
        switches.gather_from_blocks,
        "one pass over the map, no step per tap in the program",
        cannot=switches.cannot_tile,
        everywhere=True,
    ),
    Form("plain", switches.gather, "a comparison for each tap, in one pass"),
)

_SCATTERS: Forms = (
    Form(
        "tiling",
        switches.scatter_to_blocks,
        "one pass over the map, no step per tap in the program",
        cannot=switches.cannot_tile,
        everywhere=True,
    ),
    Form("plain", switches.scatter, "a comparison for each tap, in one pass"),
)

SUMS: Forms = (
    Form(
        "whole",
        sums.of_the_whole,
        "one reduction",
        cannot=maxima.cannot_be_whole,
        everywhere=True,
    ),
    Form("by axis", sums.by_axis, "kh + kw additions instead of kh · kw"),
    Form("plain", sums.plain, "XLA's reduction of windows"),
)

_SPREADS: Forms = (
    Form(
        "tiling",
        sums.spread_over_blocks,
        "no sums",
        cannot=switches.cannot_tile,
        everywhere=True,
    ),
    Form("by axis", sums.spread_by_axis, "no zeros, and kh + kw additions instead of kh · kw"),
    Form("plain", sums.spread, "XLA's reduction of windows"),
)

# Before these, kernels.
MAXIMA, SWITCHES, SCATTERS, SPREADS = (
    native.before(forms, map)
    for forms, map in (
        (_MAXIMA, "maximum"),
        (_SWITCHES, "switches"),
        (_SCATTERS, "scatter"),
        (_SPREADS, "spread"),
    )
)
