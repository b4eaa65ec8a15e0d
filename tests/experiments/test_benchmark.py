"""The benchmark in a shrunken form. Nothing here depends on how long anything takes."""

import json
import platform
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from experiments import benchmark
from experiments.benchmarks import (
    bars,
    foreign,
    forms,
    jax_peer,
    measure,
    peers,
    program,
    report,
    rows,
)
from experiments.benchmarks.results import Results, RowResult, read, spread
from experiments.benchmarks.row import OperationRow
from experiments.command_line.options import UserError
from jaxcnn.lowering import convolution, native, pooling

FOUR = ("jaxcnn", "jaxcnn-default", "autodiff", "autodiff-options")


def results_of(*found: RowResult) -> Results:
    return Results({}, {name: {} for name in FOUR}, {}, {}, list(found))


def row(group: str, part: str = "all", name: str | None = None, **milliseconds: float) -> RowResult:
    """A row whose every sample took the same time; underscores in names stand for hyphens."""
    seconds = {peer.replace("_", "-"): [1e-3 * t] * 3 for peer, t in milliseconds.items()}
    return RowResult(name or f"{group}/x/{part}", group, part, seconds=seconds)


def broken(*found: RowResult) -> list[str]:
    return [str(v) for v in bars.verdicts(results_of(*found)) if not v.holds]


def code(tmp_path, *found: RowResult, check: bool = True) -> int:
    """The exit code for these results."""
    path = tmp_path / "results.json"
    results_of(*found).write(path)
    return benchmark.main(["--read", str(path), *(["--check"] if check else [])])


# The whole way ------------------------------------------------------------------------------------


def test_a_run_measures_writes_and_reports(tmp_path, capsys, monkeypatch):
    """Real workers: the same code twice, a peer that is not installed."""
    absent = replace(peers.PEERS["torch"], needs=("no_such_package",))
    monkeypatch.setitem(peers.PEERS, "torch", absent)
    folder = tmp_path / "run"
    arguments = ["--rows", "smoke/conv/*/all", "--peers", "jaxcnn", "jaxcnn", "torch"]
    arguments += ["--pairs", "2", "--sample-ms", "0.1", "--idle-seconds", "0"]
    assert benchmark.main([*arguments, "--threads", "1", "--out", str(folder)]) == 0
    printed = capsys.readouterr()
    assert "skipped: torch (needs no_such_package)" in printed.err
    assert "jaxcnn#2" in printed.out
    written = json.loads((folder / "results.json").read_text())
    assert written["schema"] == 2
    assert written["options"]["threads"] == 1
    assert set(written["versions"]) == {"jaxcnn", "jaxcnn#2"}
    assert written["versions"]["jaxcnn"]["git_revision"]
    peak, convolution = written["rows"]
    assert peak["group"] == "peak"
    assert not peak["failed"]
    assert not convolution["failed"]
    assert [len(series) for series in convolution["seconds"].values()] == [2, 2]
    assert convolution["flop"] == 3 * 2 * (2 * 6 * 5 * 3) * (3 * 3 * 2)
    assert convolution["memory"]["jaxcnn"]["arguments"] > 0
    assert convolution["residual_bytes"]["jaxcnn"] > 0
    assert (folder / "benchmark.png").exists() is False  # there is nobody to compare with
    assert read(folder / "results.json").rows[1].ratio("jaxcnn#2", "jaxcnn") is not None


def test_another_checkout_runs_its_own_code_and_is_shown_beside_itself(tmp_path, capsys):
    """Here one that is under no version control, and whose convolutions are wrong."""
    before, folder = tmp_path / "before", tmp_path / "run"
    for package in ("jaxcnn", "experiments"):
        shutil.copytree(Path(benchmark.__file__).parents[1] / package, before / package)
    with (before / "jaxcnn" / "lowering" / "convolution" / "__init__.py").open("a") as file:
        file.write("\n_right, correlate = correlate, lambda *a: 2 * _right(*a)\n")
    name = f"jaxcnn@{before}"
    arguments = ["--rows", "smoke/conv/*/forward", "smoke/max_pool/*/forward", "--pairs", "2"]
    arguments += ["--peers", "jaxcnn", name, "--sample-ms", "0.1", "--idle-seconds", "0"]
    assert benchmark.main([*arguments, "--threads", "1", "--out", str(folder)]) == 0
    found = read(folder / "results.json")
    assert {peer: about["git_revision"] is None for peer, about in found.versions.items()} == {
        "jaxcnn": False, name: True, f"{name}#2": True,
    }  # fmt: skip
    _, convolution, pooling = found.rows
    assert set(convolution.failed) == {name, f"{name}#2"}
    assert "computes something else" in convolution.failed[name]
    assert pooling.ratio("jaxcnn", name)
    assert pooling.ratio(f"{name}#2", name)
    assert f"jaxcnn@{before}#2" in capsys.readouterr().out.replace("\n", "")


def test_a_checkout_that_does_not_start_is_named(tmp_path, capfd):
    worker = tmp_path / peers.WORKER
    worker.parent.mkdir(parents=True)
    for package in worker.parents[:2]:
        (package / "__init__.py").touch()
    worker.write_text("import nothing_of_that_name")
    arguments = ["--rows", "smoke/matmul", "--idle-seconds", "0", "--out", str(tmp_path / "run")]
    assert benchmark.main([*arguments, "--peers", f"jaxcnn@{tmp_path}"]) == 2
    last = capfd.readouterr().err.splitlines()[-1]
    assert last == f"jaxcnn@{tmp_path}: the process ended with code 1"


def interpreter(path: Path, options: str = "") -> Path:
    """This interpreter by another name, which writes down what it is asked to run."""
    path.write_text(
        f'#!/bin/sh\necho "$@" >> "{path}.asked"\nexec "{sys.executable}" {options} "$@"\n'
    )
    path.chmod(0o755)
    return path


def test_a_peer_may_have_an_interpreter_of_its_own(tmp_path, capsys):
    """Here the same checkout by another one, beside itself."""
    python, folder = interpreter(tmp_path / "python"), tmp_path / "run"
    name = f"jaxcnn@{Path(benchmark.__file__).parents[1]}"
    arguments = ["--rows", "smoke/max_pool/*/forward", "--peers", "jaxcnn", name, "autodiff"]
    arguments += ["--python", f"{name}={python}", "--python", f"autodiff={sys.executable}"]
    arguments += ["--pairs", "2", "--sample-ms", "0.1", "--idle-seconds", "0", "--threads", "1"]
    assert benchmark.main([*arguments, "--out", str(folder)]) == 0
    asked = Path(f"{python}.asked").read_text().splitlines()
    worker = "-m experiments.benchmarks.worker 1 float32"
    assert [line for line in asked if worker in line] == [f"{worker} jaxcnn", f"{worker} jaxcnn#2"]
    found = read(folder / "results.json")
    assert {about["python"] for about in found.versions.values()} == {platform.python_version()}
    assert found.rows[-1].ratio("jaxcnn", name)
    assert list(peers.comparisons(report.present(found)))[:2] == [
        ("jaxcnn", "autodiff"), (name, "autodiff"),
    ]  # fmt: skip
    jax_version = found.versions["jaxcnn"]["jax"]
    expected = f"jaxcnn, autodiff, {name}, {name}#2: Python {platform.python_version()}, "
    assert f"{expected}jax {jax_version}" in report.notes(found)
    assert name in capsys.readouterr().out


def test_an_interpreter_without_the_packages_is_skipped_by_name(tmp_path, capsys):
    bare = interpreter(tmp_path / "bare", "-I -S")
    arguments = ["--rows", "smoke/matmul", "--peers", "autodiff", "--python", f"autodiff={bare}"]
    assert benchmark.main([*arguments, "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "skipped: autodiff (needs jax, jaxtyping, optax)",
        "--peers must name a peer that is installed, got none.",
    ]


def test_what_is_no_interpreter_is_refused(tmp_path, capsys):
    for path in (tmp_path / "nowhere", Path("/bin/false"), tmp_path):
        arguments = ["--rows", "smoke/matmul", "--peers", "jaxcnn", "--python", f"jaxcnn={path}"]
        assert benchmark.main([*arguments, "--out", str(tmp_path / "run")]) == 2
        (told,) = capsys.readouterr().err.splitlines()
        assert told.startswith(
            f"--python must be PEER=PATH of an interpreter of Python, got {path} ("
        )


def test_peers_of_one_interpreter_share_a_process():
    names = ["jaxcnn", "torch", "autodiff", "flax"]
    everyone = peers.named(names, ["autodiff=/a/python", "flax=/a/python", "torch=/a/python"])
    shared = [list(group) for group in peers.together(everyone, apart=False)]
    assert shared == [["jaxcnn"], ["torch"], ["autodiff", "flax"]]


def test_a_peer_that_compiles_needs_a_compiler(monkeypatch):
    peer = replace(peers.PEERS["torch-compile"], needs=())
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    assert peers.missing(peer) == ["a C++ compiler"]
    monkeypatch.setenv("CXX", sys.executable)
    assert peers.missing(peer) == []


@pytest.mark.full
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch by itself
def test_compiled_by_pytorch_a_network_is_the_same():
    if absent := peers.missing(peers.PEERS["torch-compile"]):
        pytest.skip(f"needs {', '.join(absent)} (extra: torch)")
    from experiments.benchmarks import torch_peer

    names = ("torch", "torch-compile")
    for row in (rows.BY_NAME["smoke/step"], rows.BY_NAME["inference/lenet5/128"]):
        made = [torch_peer.build(peers.PEERS[name], row, "float32") for name in names]
        assert measure.alike(made[0].fingerprint, made[1].fingerprint, 1e-4)


@pytest.mark.full
def test_an_interrupted_run_goes_on(tmp_path, capsys):
    folder = tmp_path / "run"
    arguments = ["--rows", "smoke/conv/*/all", "--peers", "jaxcnn", "--sample-ms", "0.1"]
    arguments += ["--pairs", "3", "--idle-seconds", "0", "--out", str(folder)]
    assert benchmark.main(arguments) == 0
    whole = read(folder / "results.json")
    first = whole.rows.pop(0)
    Results(whole.options, whole.versions, whole.machine, whole.skipped, [first]).write(
        folder / "results.json"
    )
    capsys.readouterr()
    assert benchmark.main(["--resume", str(folder), "--idle-seconds", "0"]) == 0
    assert "1/2" not in capsys.readouterr().err
    found = read(folder / "results.json").rows
    assert found[0] == first
    assert [row.name for row in found[1:]] == [row.name for row in whole.rows]
    assert len(found[1].seconds["jaxcnn"]) == 3


@pytest.mark.parametrize("what", ["machine", "peers", "jaxcnn"])
def test_rows_of_another_run_do_not_go_into_one_table(what):
    one, other = results_of(), results_of()
    benchmark.refuse_another(one, other)
    if what == "machine":
        other.machine["cores"] = 64
    elif what == "peers":
        del other.versions["autodiff"]
    else:
        other.versions["jaxcnn"]["jax"] = "0.0.1"
    with pytest.raises(UserError, match=f"--resume must be a run of the same {what}, .*, got "):
        benchmark.refuse_another(one, other)


def test_plots_are_drawn(tmp_path):
    from experiments.benchmarks.plot import save_plot, save_scaling

    step = row("batch", name="batch/lenet5/64", jaxcnn=1, autodiff=2)
    found = results_of(row("conv3x3", jaxcnn=1, autodiff=2, torch=3), replace(step, images=64))
    save_plot(tmp_path / "benchmark.png", found)
    save_scaling(tmp_path / "scaling.png", found)
    assert {path.name for path in tmp_path.iterdir()} == {"benchmark.png", "scaling.png"}


# Bars ---------------------------------------------------------------------------------------------


def test_check_passes_where_every_bar_holds(tmp_path, capsys):
    good = row("max_pool", jaxcnn=0.9, jaxcnn_default=1, autodiff=10, autodiff_options=10)
    assert code(tmp_path, good) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "3 of 3 bars hold"


def test_check_fails_where_one_falls_short(tmp_path, capsys):
    short = row("max_pool", jaxcnn=1.1, autodiff=10, autodiff_options=12)
    assert code(tmp_path, short) == 1
    expected = "above its bar: max_pool/x/all: time, jaxcnn ÷ autodiff: 0.11 > 0.1"
    assert capsys.readouterr().out.splitlines()[-2:] == [expected, "1 of 2 bars hold"]
    assert code(tmp_path, short, check=False) == 0


def test_check_fails_where_a_program_does(tmp_path):
    assert code(tmp_path, replace(row("gelu"), failed={"jaxcnn": "TypeError: no"})) == 1


@pytest.mark.parametrize(
    ("group", "part", "theirs", "bound"),
    [
        ("depthwise3x3", "all", "autodiff", 0.10),
        ("depthwise5x5", "all", "autodiff-options", 0.25),
        ("depthwise3x3", "all", "torch", 3.0),
        ("depthwise3x3", "forward", "autodiff", 1.10),
        ("depthwise3x3", "kernel_grad", "torch", None),
        ("conv3x3", "all", "autodiff-options", 1.05),
        ("step-vgg6", "all", "torch", 1.5),
        ("step-alexnet", "all", "autodiff", 1.10),
        ("gelu", "all", "autodiff", 1.10),
        ("gelu", "all", "flax", None),
        ("peak", "forward", "autodiff", None),
    ],
)
def test_the_bar_of_a_row(group, part, theirs, bound):
    bar = bars.bar_of(row(group, part), "jaxcnn", theirs)
    assert (bar and bar.each) == bound


def test_the_default_options_have_bars_too():
    assert broken(row("step-lenet5", jaxcnn_default=0.8, autodiff=1))
    assert not broken(row("step-lenet5", jaxcnn_default=0.7, autodiff=1))
    assert broken(row("gelu", jaxcnn_default=1.2, autodiff=1))


def test_geometric_means_have_bars():
    """Each is below 0.9, but not the mean below 0.55."""
    both = [row("conv3x3", name=f"conv3x3/{i}/all", jaxcnn=0.6, autodiff=1) for i in range(2)]
    assert broken(*both) == [
        "conv3x3/*/all: geometric mean, jaxcnn ÷ autodiff: 0.6 > 0.55",
    ]
    both[0] = row("conv3x3", name="conv3x3/0/all", jaxcnn=0.4, autodiff=1)
    assert not broken(*both)


def test_compile_time_and_temporaries_have_bars():
    step = row("step-lenet5", jaxcnn=1, autodiff=10)
    step.compile_seconds = {"jaxcnn": [{"total": 1.6}], "autodiff": [{"total": 1.0}]}
    step.memory = {"jaxcnn": {"temporaries": 11}, "autodiff": {"temporaries": 10}}
    assert [line.split(",")[0] for line in broken(step)] == [
        "step-lenet5/x/all: compile time",
        "step-lenet5/x/all: temporaries",
    ]


def test_time_per_image_must_be_flat():
    def batches(**times: float):
        return [
            replace(row("batch", name=f"batch/vgg6/{n[1:]}", jaxcnn=t), images=int(n[1:]))
            for n, t in times.items()
        ]

    assert not broken(*batches(n16=100, n64=64, n256=256 * 1.2))
    assert broken(*batches(n64=64, n256=256 * 1.3))


def test_identical_code_must_take_the_same_time():
    again = row("gelu", jaxcnn=1)
    again.seconds["jaxcnn#2"] = [1.06e-3] * 3
    assert "identical code" in broken(again)[0]


def revisions(*steps: tuple[float, float]) -> Results:
    """Steps, each by how many times the other checkout's time it takes, and that one once more."""
    found = [row("step-x", name=f"step/{i}/8", jaxcnn=ours) for i, (ours, _) in enumerate(steps)]
    for step, (_, again) in zip(found, steps, strict=True):
        step.seconds |= {"jaxcnn@x": [1e-3] * 3, "jaxcnn@x#2": [1e-3 * again] * 3}
    peers = ("jaxcnn", "jaxcnn@x", "jaxcnn@x#2")
    return replace(results_of(*found), versions={name: {} for name in peers})


@pytest.mark.parametrize(
    ("steps", "exceeded"),
    [
        ([(1.01, 1), (1.01, 1)], []),
        ([(1.04, 1), (0.99, 1)], ["step/0/8: time, jaxcnn ÷ jaxcnn@x: 1.04 > 1.02"]),
        ([(1.04, 1.03), (0.99, 1)], []),
        ([(1.04, 0.97), (0.99, 1)], []),
        (
            [(1.03, 1.04), (1.03, 1.04)],
            ["step/*: geometric mean, jaxcnn ÷ jaxcnn@x: 1.03 > 1.02"],
        ),
    ],
)
def test_steps_are_held_to_those_of_another_checkout(steps, exceeded):
    """A single one may be above by what the other is from itself, either way; the mean may not."""
    results = revisions(*steps)
    assert [str(v) for v in bars.verdicts(results) if not v.holds] == exceeded
    mean = (steps[0][0] * steps[1][0]) ** 0.5
    assert f"geometric mean over step/*, jaxcnn ÷ jaxcnn@x: {mean:.3f}" in report.notes(results)


@pytest.mark.parametrize(("theirs", "held"), [("0.12.0", True), ("0.10.2", False)])
def test_another_interpreter_is_no_other_revision(theirs, held):
    results = revisions((1.5, 1), (1.5, 1))
    results.versions |= {"jaxcnn": {"jax": "0.12.0"}, "jaxcnn@x": {"jax": theirs}}
    assert any(verdict.where.startswith("step/") for verdict in bars.verdicts(results)) == held


def test_a_ratio_is_the_median_of_the_paired_ratios():
    found = RowResult("x", "x", "all", seconds={"a": [1, 4, 9], "b": [2, 4, 3]})
    assert found.ratio("a", "b") == (1, 0.75, 2)
    assert found.ratio("a", "c") is None
    assert spread([5.0]) == (5, 5, 5)


# Rows, peers, order -------------------------------------------------------------------------------


def test_every_pair_of_peers_is_asked_equally_often_in_either_order():
    names = ["a", "b", "c"]
    found = list(measure.orders(names, 12))
    assert all(sorted(order) == names for order in found)
    for one, other in (("a", "b"), ("a", "c"), ("b", "c")):
        assert sum(order.index(one) < order.index(other) for order in found) == 6


def test_rows_have_names_of_their_own_and_operations_that_exist():
    import jaxcnn

    names = [row.name for row in (*rows.ROWS, *rows.SMOKE, *forms.FORMS)]
    assert len(set(names)) == len(names)
    operations = [row for row in rows.ROWS if isinstance(row, OperationRow)]
    assert all(hasattr(jaxcnn, row.op) for row in operations if row.kind != "foreign")
    assert {row.op for row in operations if row.kind == "foreign"} == set(foreign.FUNCTIONS)
    for bar in bars.BARS:
        assert any(bars.bar_of(RowResult(r.name, r.group, r.part), bar.ours, bar.theirs) is bar
                   for r in rows.ROWS), f"no row for {bar}"  # fmt: skip


TABLES = *convolution.TABLES.values(), *pooling.TABLES.values()

# Of forms -----------------------------------------------------------------------------------------


def test_every_form_has_two_rows_and_is_taken_in_one():
    names = {form.name for table in TABLES for form in table} - {"plain", "fft"}
    names -= {"native"} if native.obstacle() else set()
    for name in names:
        own = [row for row in forms.FORMS if row.form == name]
        assert len(own) > 1
        assert any(map(forms.taken, own)), name


@pytest.mark.parametrize("name", forms.thresholds())
def test_a_threshold_has_a_row_on_either_side(name):
    """Where it decides, the form is taken on one side only; else on both, if it is large enough."""
    threshold = forms.thresholds()[name]
    if threshold.form == "native" and native.obstacle():
        pytest.skip(f"{native.obstacle()} (extra: native)")
    by_name = {row.name: row for row in forms.FORMS}
    sides = [forms.taken(by_name[side]) for side in (threshold.below, threshold.above)]
    assert sum(sides) == (1 if threshold.decides else 2)
    assert threshold.unit
    assert re.fullmatch(r"\d{4}-\d\d, jax \d[\d.]*", threshold.measured)


def test_forms_are_measured_against_the_plain_one():
    row = rows.BY_NAME[forms.thresholds()["NEIGHBOURS"].below]
    assert isinstance(row, OperationRow)
    small = replace(row, shapes=((1, 9, 8, 1), (5, 5, 1, 6)))
    found = [jax_peer.build(peers.PEERS[name], small, "float32") for name in ("form", "plain")]
    assert measure.alike(found[0].fingerprint, found[1].fingerprint, 1e-5)
    assert found[0].facts["memory"] != found[1].facts["memory"]
    results = Results({}, {"form": {}, "plain": {}}, {}, {}, [])
    for row, seconds in zip(forms.FORMS, (0.5, 2.0) * len(forms.FORMS), strict=False):
        times = {"form": [seconds], "plain": [1.0]}
        results.rows.append(RowResult(row.name, "forms", row.part, seconds=times))
    first, second = report._forms(results)
    assert first.row_count == len(forms.thresholds())
    assert second.row_count > 10


def test_a_quick_run_has_one_row_of_each_group_and_part():
    chosen = rows.select(["conv*"], quick=True)
    assert len({(row.group, row.part) for row in chosen}) == len(chosen)
    assert {row.group for row in chosen} == {row.group for row in rows.select(["conv*"])}


def test_bars_are_for_their_settings_only(capsys):
    short = row("max_pool", jaxcnn=1, autodiff=1)
    assert broken(short)
    others = replace(results_of(short), options={"platform": "gpu"})
    assert bars.verdicts(others) == []
    for arguments, sentence in (
        (["--quick"], "--check needs --pairs of at least 25, and not --quick."),
        (["--pairs", "3"], "--check needs --pairs of at least 25"),
        (["--precision", "bfloat16"], "--check needs --precision float32, for which"),
        (["--platform", "gpu"], "--check needs --platform cpu, for which the bars were set"),
    ):
        assert benchmark.main(["--check", "--rows", "smoke/conv/*", *arguments]) == 2
        assert sentence in capsys.readouterr().err


def test_one_image_is_held_to_the_bars_of_its_kind():
    groups = {found.group for found in rows.select(["batch1/*"])}
    assert groups == {"conv3x3-untuned", "depthwise3x3", "max_pool"}


def test_the_peers_on_jax_share_a_process_unless_they_are_to_be_apart():
    everyone = peers.named(["jaxcnn", "torch", "autodiff", "flax", "jaxcnn"])
    shared = [list(group) for group in peers.together(everyone, apart=False)]
    assert shared == [["jaxcnn", "autodiff", "flax", "jaxcnn#2"], ["torch"]]
    assert [list(group) for group in peers.together(everyone, apart=True)] == [
        ["jaxcnn"], ["torch"], ["autodiff"], ["flax"], ["jaxcnn#2"],
    ]  # fmt: skip
    here = f"jaxcnn@{Path(benchmark.__file__).parents[1]}"
    everyone = peers.named([here, "jaxcnn", "autodiff"])
    assert [list(group) for group in peers.together(everyone, apart=False)] == [
        [here], [f"{here}#2"], ["jaxcnn", "autodiff"],
    ]  # fmt: skip


class Fragile:
    """A process that ends when a peer of its own is asked to do something."""

    def __init__(self, names, ends_at=(None, None)):
        self.peers, self.starts = peers.named(names), 0
        self._ends_at, self._ready = ends_at, set()

    def start(self):
        self.starts, self._ready = self.starts + 1, set()

    def cpu_seconds(self):
        return 0.0

    def ask(self, do, peer=None, **_):
        if (do, peer) == self._ends_at:
            raise measure.EndedError("the process ended with code -9")
        if do == "prepare":
            self._ready.add(peer)
            return {"fingerprint": [1.0], "calls": 1}
        if do == "sample":
            return {"seconds": 1e-3, "idle_cpu": 0.0} if peer in self._ready else {"error": "gone"}
        return {}


@pytest.mark.parametrize(
    ("ends_at", "survive"),
    [
        (("prepare", "autodiff"), ["autodiff-options", "torch"]),
        (("sample", "autodiff"), ["torch"]),
        (("release", None), ["jaxcnn", "autodiff", "autodiff-options", "torch"]),
    ],
)
def test_who_shares_a_process_that_ends_fails_by_name(ends_at, survive):
    """Only what was lost with it: whoever had not begun has its turn in the next process."""
    shared: Any = Fragile(["jaxcnn", "autodiff", "autodiff-options"], ends_at)
    other: Any = Fragile(["torch"])
    found = measure.measure(rows.SMOKE[0], [shared, other], 3, 1e-3)
    assert shared.starts == 1
    lengths = {name: len(series) for name, series in found.seconds.items()}
    assert lengths == dict.fromkeys(survive, 3)
    assert set(found.failed.values()) <= {"the process ended with code -9"}
    assert set(found.failed) == {*shared.peers} - {*survive}


def test_norms_of_gradients_tell_a_small_one_that_is_missing():
    gradients = [np.full(100, 1.0), np.full(4, 0.01)]
    assert program.gradient_norms(gradients) == pytest.approx([10.00002, 10.02])


def test_fingerprints_tell_computations_apart():
    assert measure.alike([1.0, 0.0], [1.001, 0.0], 1e-2)
    assert not measure.alike([1.0], [1.1], 1e-2)
    assert not measure.alike([1.0], [float("nan")], 1e-2)
    assert not measure.alike([1.0], [1.0, 1.0], 1e-2)


@pytest.mark.parametrize("row", rows.select(["eager/*/all", "issues/*"]), ids=lambda row: row.name)
def test_what_others_write_is_compared_with_the_same_arithmetic(row):
    names = ("jaxcnn", "autodiff")
    with jax.numpy_rank_promotion("allow"):  # as by default, and as one writes it
        ours, plain = (jax_peer.build(peers.PEERS[n], row, "float32").fingerprint for n in names)
    assert measure.alike(ours, plain, 1e-4)


def test_a_hessian_vector_product_is_the_same_either_way():
    (row,) = rows.select(["smoke/hvp"])
    names = ("jaxcnn", "jaxcnn-reverse")
    forward, reverse = (jax_peer.build(peers.PEERS[n], row, "float32").fingerprint for n in names)
    assert measure.alike(forward, reverse, 1e-4)


@pytest.mark.parametrize(
    ("fft", "size"), [((2, 0.5, 0.4), "from 5×5 on"), ((0.5, 2, 2), "at no size")]
)
def test_notes_tell_from_which_kernel_on_fourier_transforms_pay(fft, size):
    found = [
        row("fft", name=f"fft/8x8x8x2-{k}x{k}/all", jaxcnn=1, jaxcnn_fft=time)
        for k, time in zip((3, 5, 7), fft, strict=True)
    ]
    lines = [line for line in report.notes(results_of(*found)) if "Fourier" in line]
    assert lines == [f"Fourier transforms pay, all: {size}"]


def test_notes_tell_of_noise_and_gaps():
    noisy = replace(row("gelu", jaxcnn=1), foreign_cpu=0.5, absent={"torch": "PyTorch has no scan"})
    text = "\n".join(report.notes(results_of(noisy)))
    assert "not to be trusted" in text
    assert "torch left out: PyTorch has no scan" in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--rows", "conv9x9/*"], "--rows must match rows that --list prints, got 'conv9x9/*'"),
        (["--peers", "numpy"], f"--peers must be among {', '.join(peers.PEERS)}, got numpy"),
        (
            ["--peers", "jaxcnn@nowhere"],
            "--peers jaxcnn@PATH must name a checkout, with experiments/benchmarks/worker.py, "
            "got jaxcnn@nowhere",
        ),
        (
            ["--peers", "jaxcnn", "--python", "torch=/bin/python"],
            "--python must be PEER=PATH with one of --peers, jaxcnn, got torch=/bin/python",
        ),
        (["--pairs", "0"], "--pairs must be at least 1, got 0."),
        (["--threads", "0"], f"--threads must be from 1 to {benchmark.cores()}, got 0."),
        (["--sample-ms", "-1"], "--sample-ms must be a positive number, got -1.0."),
    ],
)
def test_a_mistake_is_told_in_one_sentence(arguments, sentence, capsys):
    assert benchmark.main(arguments) == 2
    assert capsys.readouterr().err == sentence + "\n"


def test_a_folder_in_use_is_refused(tmp_path, capsys):
    (tmp_path / "something").touch()
    assert benchmark.main(["--out", str(tmp_path)]) == 2
    # Peers that are missing may have been named before.
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("--out must be an empty or a new folder")


def test_what_is_no_result_is_refused(tmp_path, capsys):
    path = tmp_path / "results.json"
    path.write_text("{}")
    assert benchmark.main(["--read", str(path)]) == 2
    assert capsys.readouterr().err.startswith("--read must be results of a benchmark")


def test_rows_are_listed(capsys):
    assert benchmark.main(["--list", "--rows", "step/*"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "step/lenet5/128  (step-lenet5)"
