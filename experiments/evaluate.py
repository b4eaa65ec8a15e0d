"""Question: how good is a trained network, and where is it wrong?

Command:  python -m experiments.evaluate runs/<run>           (--help lists the options)
Result:   accuracy, confusion counts, pictures of the worst mistakes, in <run>/evaluation
Time:     4 s for LeNet-5 on the 1,000 test images of mnist5k
Hardware: 2 cores of an AMD EPYC (AVX2), float32, jax 0.10.2

Evaluates the parameters of a finished run, or one of its checkpoints, on the test images of its
data set or of another one, and can write the parameters as safetensors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import tyro

from experiments import data, plots, runs, training
from experiments.command_line import program
from experiments.command_line.checks import FILES, check_beside
from experiments.command_line.options import TrainOptions, UserError
from experiments.runs import saved
from experiments.training import material
from experiments.training.precision import products
from experiments.training.recipes import make_recipe
from jaxcnn.interop import to_safetensors


@dataclass(frozen=True)
class EvaluateOptions:
    """Evaluate a saved run."""

    run: tyro.conf.Positional[Path]
    """Folder of the run."""
    checkpoint: int | Literal["best", "last"] | None = None
    """A checkpoint by its number of steps, the best by validation accuracy, or the last; by default
    the parameters that the run ended with."""
    dataset: str | None = None
    """Another data set of the same shape and classes, such as mnist for a run on mnist5k."""
    data_dir: Path | None = None
    """Folder of original files or of prepared TFDS data; by default that of the run."""
    tta: Literal["none", "mirror", "mirror-shift"] | None = None
    """Test-time augmentation, if another than the run's."""
    safetensors: Path | None = None
    """File to which the parameters and the state are written."""
    output: Path | None = None
    """Folder of the results; by default `evaluation` in the run's."""


@program.telling
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 2 for a mistake in it."""
    options = tyro.cli(
        EvaluateOptions, args=arguments, prog="python -m experiments.evaluate", description=__doc__
    )
    print(f"test accuracy {evaluate(options):.4f}")
    return 0


def evaluate(options: EvaluateOptions) -> float:
    """Evaluate, write the results, and return the accuracy.

    Raises:
        UserError: there is no such run, checkpoint or data.
    """
    stored, params, net_state = saved.read(options.run, options.checkpoint)
    if options.data_dir is not None:
        check_beside("data_dir", "dataset", options.dataset or stored.dataset, FILES)
    if options.safetensors is not None:
        write_safetensors(options.safetensors, params, net_state, stored)
    chosen = dataclasses.replace(
        stored,
        dataset=check_dataset(options.dataset, stored),
        data_dir=options.data_dir or stored.data_dir,
        tta=options.tta or stored.tta,
    )
    with jax.enable_x64(stored.precision == "float64"), products(stored.precision):
        images = material.test_images(chosen, options.data_dir is not None)
        # Pixels are scaled as they were in training, whatever set they are of.
        trained = dataclasses.replace(chosen, dataset=stored.dataset)
        recipe = dataclasses.replace(make_recipe(trained, 1, 1), mesh=None)
        params, net_state = jax.tree.map(jax.numpy.asarray, (params, net_state))
        state = training.TrainState(params, net_state, opt_state=None)
        (judge,) = material.compile_judges(recipe, state, [images])
        assert judge is not None  # every data set has test images
        found = judge(state.params, state.net_state)
    folder = options.output or options.run / "evaluation"
    summary: dict[str, Any] = {
        "test_accuracy": found.accuracy,
        "test_images": int(found.confusion.sum()),
        "dataset": chosen.dataset,
        "tta": chosen.tta,
        "checkpoint": options.checkpoint,
        "confusion": found.confusion.tolist() if len(found.confusion) <= 100 else None,
        "classes": list(data.describe(trained).names) or None,
    }
    if found.top_5 is not None:
        summary["test_top_5_accuracy"] = found.top_5
    try:
        folder.mkdir(parents=True, exist_ok=True)
        runs.write_json(folder / "summary.json", summary)
        plots.save_looks(folder, chosen, found, images, recipe.net, params)
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be written: {error.strerror}.") from error
    return found.accuracy


def check_dataset(name: str | None, stored: TrainOptions) -> Any:
    """The data set to evaluate on, if it is one of the run's kind.

    Raises:
        UserError: it is not.
    """
    if name is None:
        return stored.dataset
    if "folder" in (name, stored.dataset):
        if name != stored.dataset:
            raise UserError(f"--dataset must be {stored.dataset} for this run, got {name}.")
        return name
    about = data.describe(stored)
    alike = [
        other
        for other, its in data.DATASETS.items()
        if (its.shape, its.classes) == (about.shape, about.classes)
    ]
    if name not in alike:
        raise UserError(f"--dataset must be one of {', '.join(alike)} for this run, got {name}.")
    return name


def write_safetensors(path: Path, params: Any, net_state: Any, options: TrainOptions) -> None:
    """With the model and the data set as metadata.

    Raises:
        UserError: the file cannot be written.
    """
    about = {"model": options.model, "dataset": options.dataset, "layout": "NHWC, HWIO"}
    try:
        to_safetensors(params, net_state, path, metadata=about)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}.") from error


if __name__ == "__main__":
    program.run(main)
