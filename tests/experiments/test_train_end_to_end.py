"""`python -m experiments.train`, shrunken: output, run folder, repeatability, mistakes."""

import importlib.util
import json
import re

import jax
import numpy as np
import pytest

from experiments import data, runs, train, training
from experiments.command_line.options import TrainOptions
from experiments.training.recipes import make_recipe

SMALL = ["--epochs", "2", "--train-images", "400", "--validation", "100", "--batch-size", "50"]


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """(folder, standard output) of one small run."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    return folder, run_main([*SMALL, "--run-dir", str(folder)])


def run_main(arguments):
    """Standard output of a run that must succeed."""
    import contextlib
    import io

    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert train.main(arguments) == 0
    return output.getvalue()


def test_output_is_a_line_per_epoch_and_ends_with_the_test_accuracy(small_run):
    folder, output = small_run
    lines = output.splitlines()
    assert "400 training, 100 validation, 1,000 test images" in lines[0]
    assert [line.split()[1] for line in lines[1:3]] == ["1/2", "2/2"]
    assert re.fullmatch(r"test accuracy 0\.\d{4}", lines[-1])
    summary = json.loads((folder / "summary.json").read_text())
    assert lines[-1] == f"test accuracy {summary['test_accuracy']:.4f}"


def test_test_images_are_looked_at_once_after_the_last_epoch(tmp_path, monkeypatch):
    compile_judges, seen = train.material.compile_judges, []

    def noted(name, judge):
        return lambda *state: (seen.append(name), judge(*state))[1]

    def counted(*arguments):
        judges = compile_judges(*arguments)
        return [noted(*pair) for pair in zip(("validation", "test"), judges, strict=True)]

    monkeypatch.setattr(train.material, "compile_judges", counted)
    model = ["--model", "logistic-regression", "--rotation", "0", "--zoom", "0"]
    run_main([*SMALL, *model, "--run-dir", str(tmp_path / "run")])
    assert seen == ["validation", "validation", "test"]


def test_run_folder_holds_options_versions_metrics_summary_and_curves(small_run):
    folder, _ = small_run
    config = json.loads((folder / "config.json").read_text())
    assert set(config) == set(TrainOptions.__dataclass_fields__)
    assert (config["epochs"], config["train_images"], config["rules"]) == (2, 400, "hand")
    assert config["run_dir"] == str(folder)

    versions = json.loads((folder / "versions.json").read_text())
    assert versions["jax"] == jax.__version__
    assert versions["backend"] == jax.default_backend()
    assert {"python", "jaxlib", "jaxcnn", "optax", "numpy", "platform", "device"} < set(versions)
    assert {"cpu_count", "git_revision", "git_dirty"} < set(versions)

    metrics = runs.read_metrics(folder)
    assert [record["epoch"] for record in metrics] == [1, 2]
    assert [record["step"] for record in metrics] == [8, 16]
    assert set(metrics[0]) == {
        "epoch", "step", "loss", "accuracy", "validation_accuracy", "learning_rate", "seconds"
    }  # fmt: skip
    assert metrics[1]["loss"] < metrics[0]["loss"]

    summary = json.loads((folder / "summary.json").read_text())
    confusion = np.array(summary["confusion"])
    assert confusion.sum(axis=1).tolist() == [100] * 10
    assert np.trace(confusion) / 1000 == summary["test_accuracy"]
    assert set(summary["seconds"]) == {"data", "compilation", "training", "evaluation"}
    for name in ("curves", "confusion", "mistakes", "filters"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_saved_parameters_give_the_reported_test_accuracy(small_run):
    folder, _ = small_run
    params, state = runs.load_parameters(folder)
    recipe = make_recipe(TrainOptions(), 10, 10)
    test = data.load("mnist5k").test
    x = training.normalise(jax.numpy.asarray(data.pad_to_32(test.images)), recipe)
    logits, _ = recipe.net.apply(params, state, x)
    accuracy = np.mean(np.argmax(np.asarray(logits), axis=-1) == test.labels)
    summary = json.loads((folder / "summary.json").read_text())
    assert accuracy == pytest.approx(summary["test_accuracy"], abs=0.002)


def test_parameters_round_trip_bit_by_bit(tmp_path):
    kernel, bias = np.array([[1.1, -0.0]], np.float32), np.array([1e-300])
    params = {"c1": {"kernel": kernel, "bias": bias}}
    state = {"norm": {"mean": np.array([3.0], np.float32)}}
    for number, saved in enumerate([(params, state), (params, {})]):
        runs.save_parameters(tmp_path / str(number), *saved)
        loaded = runs.load_parameters(tmp_path / str(number))
        assert jax.tree.structure(loaded) == jax.tree.structure(saved)
        for left, right in zip(jax.tree.leaves(loaded), jax.tree.leaves(saved), strict=True):
            assert (left.dtype, left.tobytes()) == (right.dtype, right.tobytes())


def test_the_same_seed_repeats_bit_for_bit(small_run, tmp_path):
    run_main([*SMALL, "--run-dir", str(tmp_path / "again"), "--no-progress"])
    first, again = runs.load_parameters(small_run[0]), runs.load_parameters(tmp_path / "again")
    jax.tree.map(np.testing.assert_array_equal, first, again)


@pytest.mark.full
def test_autodiff_in_float64_tells_the_same_story(tmp_path):
    # Few steps: what JAX derives is slow inside a scan.
    few = [*SMALL, "--train-images", "100"]
    run_main([*few, "--run-dir", str(tmp_path / "hand")])
    folder = tmp_path / "run"
    arguments = ["--rules", "autodiff", "--precision", "float64", "--no-progress"]
    output = run_main([*few, *arguments, "--run-dir", str(folder)])
    assert len(output.splitlines()) == 2  # the first line and the last
    params, _ = runs.load_parameters(folder)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(params)} == {"float64"}
    for here, there in zip(
        runs.read_metrics(folder), runs.read_metrics(tmp_path / "hand"), strict=True
    ):
        assert here["loss"] == pytest.approx(there["loss"], rel=1e-4)
        assert here["accuracy"] == pytest.approx(there["accuracy"], abs=0.005)


def test_default_folder_says_what_ran(monkeypatch):
    assert re.fullmatch(
        r"runs/\d{8}T\d{6}Z-lenet5-mnist5k-s7", str(runs.folder_of(TrainOptions(seed=7)))
    )


# Mistakes

MISTAKES = {
    "epochs": (["--epochs", "0"], "--epochs must be a positive number, got 0.0."),
    "batch of none": (["--batch-size", "0"], "--batch-size must be at least 1, got 0."),
    "batch too large": (["--batch-size", "4001"], "at most the 3600 training images, got 4001."),
    "learning rate": (["--learning-rate", "-0.1"], "must be a positive number, got -0.1."),
    "learning rate nan": (["--learning-rate", "nan"], "must be a positive number, got nan."),
    "weight decay": (
        ["--weight-decay", "-1"],
        "--weight-decay must be zero or positive, got -1.0.",
    ),
    "rotation": (["--rotation", "-1"], "--rotation must be zero or positive, got -1.0."),
    "zoom": (["--zoom", "1"], "--zoom must be from 0 to less than 1, got 1.0."),
    "scale": (["--scale", "0.5"], "--scale must be at least 1, got 0.5."),
    "label smoothing": (
        ["--label-smoothing", "1"],
        "--label-smoothing must be from 0 to less than 1, got 1.0.",
    ),
    "clip": (["--clip", "0"], "--clip must be a positive number, got 0.0."),
    "milestones": (
        ["--milestones", "0.5", "0.2"],
        "--milestones must be rising numbers between 0 and 1, got 0.5 0.2.",
    ),
    "milestones twice": (
        ["--schedule", "steps", "--milestones", "0.5", "0.5"],
        "--milestones must be rising numbers between 0 and 1, got 0.5 0.5.",
    ),
    "cutout of a stream": (
        ["--dataset", "imagenet2012", "--model", "alexnet", "--cutout", "300", "--smoke"],
        "--cutout must be at most the 227 pixels of the images' side, got 300.",
    ),
    "mostly zeros": (
        ["--dataset", "cifar10", "--model", "resnet18", "--smoke"],
        "The network takes 224 × 224 pixels, cifar10 has 32 × 32.",
    ),
    "mixes": (["--mixup", "1", "--cutmix", "1"], "exclude each other: set one of them to 0."),
    "accumulate": (
        ["--accumulate", "7"],
        "--accumulate must divide the batch size of 64, got 7.",
    ),
    "plateau": (
        ["--schedule", "plateau", "--validation", "0"],
        "--validation must be at least 1, got 0.",
    ),
    "warm-up": (["--warmup", "0.1"], "has a warm-up of its own: leave --warmup at 0."),
    "final rate": (["--final-rate", "0.1"], "is for --schedule cosine and linear only."),
    "momentum": (
        ["--optimiser", "sgd", "--momentum", "0.5"],
        "--momentum is for --optimiser momentum, nesterov, adam, adamw, muon, airbench-sgd and "
        "airbench-muon only.",
    ),
    "second moment": (
        ["--optimiser", "momentum", "--second-moment", "0.9"],
        "--second-moment is for --optimiser adam and adamw only.",
    ),
    "unused milestones": (["--milestones", "0.3"], "--milestones is for --schedule steps only."),
    "unused decay": (
        ["resnet20", "--schedule", "cosine", "--decay", "0.5"],
        "--decay is for --schedule steps, exponential and plateau only.",
    ),
    "average decay": (["--average-decay", "0.9"], "--average-decay is for --average ema only."),
    "warm-up from": (
        ["--schedule", "cosine", "--warmup-from", "0.1"],
        "--warmup-from needs --warmup beside it.",
    ),
    "data folder": (
        ["--data-dir", "/data"],
        "--data-dir is for --dataset mnist, fashion_mnist, cifar10, imagenet2012 and folder only.",
    ),
    "smoke": (["--smoke", "--train-images", "30"], "--smoke, which has images of its own."),
    "smoke folder": (
        ["--smoke", "--dataset", "mnist", "--data-dir", "/data"],
        "--data-dir is not for --smoke, which has images of its own.",
    ),
    "plateau of lengths": (
        ["airbench94-muon", "--schedule", "plateau", "--validation", "100", "--warmup", "0"],
        "--optimiser airbench-muon returns lengths of its own: choose another of them.",
    ),
    "milestones in the warm-up": (
        ["--schedule", "steps", "--warmup", "0.6", "--milestones", "0.5", "0.75"],
        "--milestones must come after the warm-up, which ends at 0.6, got 0.5.",
    ),
    "process alone": (
        ["--distributed", "--process", "1"],
        "--process needs --processes beside it.",
    ),
    "preset to go on": (
        ["resnet20", "--resume", "a"],
        "--resume goes on with the options of its run, got the preset resnet20 too.",
    ),
    "checks": (
        ["--check-gradients", "1", "--rules", "autodiff"],
        "compares the rules with autodiff: choose other --rules.",
    ),
    "products of halves": (
        ["--precision", "bfloat16-products", "--rules", "autodiff"],
        "--precision bfloat16-products is for hand-written rules: choose other --rules.",
    ),
    "devices": (["--devices", "2"], "--devices must be at most the 1 that there are, got 2."),
    "checkpoint": (["--checkpoint", "2"], "--checkpoint is for --resume."),
    "size": (
        ["--dataset", "mnist5k", "--model", "alexnet"],
        "takes images of 3 channels, those of mnist5k have 1.",
    ),
    "shift": (["--shift", "-1"], "--shift must be at least 0, got -1."),
    "seed": (["--seed", "-1"], "--seed must be between 0 and 2**32 - 1, got -1."),
    "validation": (["--validation", "4000"], "less than the 4000 training images, got 4000."),
    "train images": (
        ["--train-images", "3601"],
        "at most the 3600 that are not held out, got 3601.",
    ),
    "cutout": (["--cutout", "40"], "at most the 32 pixels of the images' side, got 40."),
    "alone": (["--processes", "2", "--process", "0"], "--processes needs --coordinator beside it."),
    "process": (
        ["--coordinator", "localhost:1", "--processes", "2", "--process", "2"],
        "--process must be less than --processes, 2, got 2.",
    ),
    "channels": (["--dataset", "cifar10"], "images of 1 channel, those of cifar10 have 3."),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_and_exit_code_2(mistake, tmp_path, capsys):
    arguments, sentence = MISTAKES[mistake]
    folder = tmp_path / "run"
    assert train.main([*arguments, "--run-dir", str(folder)]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.count("\n") == 1
    assert errors.strip().endswith(sentence)
    assert not folder.exists()


@pytest.mark.parametrize("arguments", [["--dataset", "svhn"], ["--batch-size", "1.5"]])
def test_what_the_parser_refuses_ends_with_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        train.main(arguments)
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_a_missing_data_set_leaves_no_run_folder(tmp_path, capsys, monkeypatch):
    pytest.importorskip("tensorflow_datasets")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    folder = tmp_path / "run"
    arguments = ["--dataset", "mnist", "--data-dir", str(tmp_path), "--run-dir", str(folder)]
    assert train.main(arguments) == 2
    assert "The data set mnist is not prepared" in capsys.readouterr().err
    assert not folder.exists()


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path, capsys):
    (tmp_path / "notes").write_text("mine")
    assert train.main([*SMALL, "--run-dir", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_options_of_a_preset_may_lie_idle(capsys):
    """Only what is given beside it is asked what it is for."""
    options = train.parse(["resnet20", "--schedule", "cosine"])
    assert options.optimisation.milestones == (0.5, 0.75)


def test_a_file_that_cannot_be_written_later_ends_a_run_with_one_sentence(
    tmp_path, capsys, monkeypatch
):
    def full(folder, record):
        raise OSError(28, "No space left on device", str(folder / "metrics.jsonl"))

    monkeypatch.setattr(runs, "append_metrics", full)
    folder = tmp_path / "run"
    short = ["--model", "logistic-regression", "--rotation", "0", "--zoom", "0"]
    assert train.main([*SMALL, *short, "--run-dir", str(folder)]) == 1
    sentence = f"{folder / 'metrics.jsonl'} cannot be read or written: No space left on device.\n"
    assert capsys.readouterr().err == sentence


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert train.main([*SMALL, "--run-dir", str(tmp_path / "file" / "run")]) == 2
    assert "cannot be written: Not a directory" in capsys.readouterr().err
