"""Strict throughout: float64, no silent promotion of dtypes or ranks, warnings are errors."""

import gc
import os
import subprocess
import sys
from collections import Counter

import hypothesis
import jax
import pytest

# The suite compiles thousands of small programs and runs each once or twice. Older, plainer code
# generation compiles them in a quarter of the time, and most of XLA's optimisations would only add
# to it. Tests of whole networks ask for those, and scripts run as users run them.
QUICK_TO_COMPILE = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"


def _use_flags(flags: str) -> None:
    """Add flags of XLA, which ends a process over a flag that it does not know: so try them."""
    wanted = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
    trial = subprocess.run(
        [sys.executable, "-c", "import jax; jax.numpy.zeros(1)"],
        env={**os.environ, "XLA_FLAGS": wanted},
        capture_output=True,
    )
    if trial.returncode == 0:
        os.environ["XLA_FLAGS"] = wanted


if "PYTEST_XDIST_WORKER" not in os.environ:  # workers inherit what the first process found
    _use_flags(QUICK_TO_COMPILE)

# Tracing makes millions of small objects: the collector, as often as it runs by default, would take
# a tenth of the time.
gc.set_threshold(200_000, 20, 100)

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_disable_most_optimizations", True)


# Generated cases: compiling takes nearly all of their time, so there is no deadline. There is no
# database of failures either: everyday runs are all alike, --hypothesis-seed repeats a full one.
hypothesis.settings.register_profile(
    "everyday", derandomize=True, database=None, deadline=None, max_examples=3
)
hypothesis.settings.register_profile(
    "full", database=None, deadline=None, report_multiple_bugs=False
)


@pytest.fixture(scope="module", autouse=True)
def forget_programs():
    """Thousands of programs kept alive are gigabytes."""
    yield
    jax.clear_caches()
    gc.collect()


@pytest.fixture
def optimised():
    """XLA's optimisations as users have them."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


def pytest_addoption(parser):
    parser.addoption(
        "--full", action="store_true", help="every check at every case, not only at a sample"
    )

    parser.addoption(
        "--all-extras", action="store_true", help="a skip for want of an extra is a failure"
    )


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return _without_excuse((yield), collector.config)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    return _without_excuse((yield), item.config)


def _without_excuse(report, config):
    """With --all-extras whoever says that an extra is missing fails."""
    if config.getoption("all_extras") and report.skipped and "(extra: " in str(report.longrepr):
        report.outcome, report.longrepr = "failed", report.longrepr[2]
    return report


def pytest_configure(config):
    config.addinivalue_line("markers", "full: runs with --full only")
    config.addinivalue_line("markers", "sampled(count): at most so many cases without --full")
    hypothesis.settings.load_profile("full" if config.getoption("full") else "everyday")


@pytest.hookimpl(trylast=True)  # of what -k has chosen
def pytest_collection_modifyitems(config, items):
    """Leave out, without --full, what the everyday suite does not run."""
    if config.getoption("full"):
        return
    by_test: dict[str, list[pytest.Item]] = {}
    for item in items:
        if not item.get_closest_marker("full"):
            by_test.setdefault(item.nodeid.split("[")[0], []).append(item)
    dropped = {item for item in items if item.get_closest_marker("full")}
    for cases in by_test.values():
        marker = cases[0].get_closest_marker("sampled")
        if marker is not None and len(cases) > marker.args[0]:
            # Evenly spaced, the first one included.
            chosen = {i * len(cases) // marker.args[0] for i in range(marker.args[0])}
            dropped |= {case for i, case in enumerate(cases) if i not in chosen}
    config.hook.pytest_deselected(items=list(dropped))
    items[:] = [item for item in items if item not in dropped]


def pytest_terminal_summary(terminalreporter):
    """Say how many configurations were generated: what tests recorded as "configurations"."""
    totals: dict[str, Counter] = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, counts in getattr(report, "user_properties", []):
                if name == "configurations":
                    totals.setdefault(report.fspath, Counter()).update(counts)
    for file, counts in sorted(totals.items()):
        terminalreporter.section(f"{counts.total()} generated configurations in {file}")
        terminalreporter.line(", ".join(f"{name} {n}" for name, n in sorted(counts.items())))
