"""The published recipes, by name: `python -m experiments.train <preset>`.

A preset is nothing but other defaults: every option can still be given. Each says where it is from
and what was reached there; what is reached here stands in the documentation's results.
"""

from __future__ import annotations

from typing import NamedTuple

from experiments.command_line.options import Augmentation, Optimisation, TrainOptions


class Preset(NamedTuple):
    """Options, and where they come from."""

    options: TrainOptions
    source: str


NONE = Augmentation(shift=0, rotation=0.0, zoom=0.0)
LENET = Augmentation(shift=2, rotation=10.0, zoom=0.1)
# He et al. 2015, section 4.2: four zeros on each side, a crop of 32×32, a random flip.
CROP_FLIP = Augmentation(shift=4, rotation=0.0, zoom=0.0, flip="random")
AIRBENCH = Augmentation(shift=2, shift_mode="reflect", rotation=0.0, zoom=0.0, flip="alternating")
# Krizhevsky et al. 2012: crops, taken while the images are read, and flips.
FLIP = Augmentation(shift=0, rotation=0.0, zoom=0.0, flip="random")
# The ranges of the lectures, in full.
LECTURES = Augmentation(
    shift=0, rotation=180.0, zoom=0.0, scale=1.6, translation=10.0, shear=20.0, stretch=1.3
)


def _airbench_sgd(model: str, epochs: float, rate: float, **changes) -> TrainOptions:
    """Jordan 2024: triangle from 0.2 up over 23 % of the steps, then down to 0.07."""
    optimisation = Optimisation(
        optimiser="airbench-sgd",
        schedule="linear",
        learning_rate=rate,
        momentum=0.85,
        warmup=0.23,
        warmup_from=0.2,
        final_rate=0.07,
        weight_decay=changes.pop("weight_decay", 0.0153),
    )
    return TrainOptions(
        model=model,  # type: ignore[arg-type]
        dataset="cifar10",
        epochs=epochs,
        batch_size=1024,
        label_smoothing=0.2,
        average="lookahead",
        tta="mirror-shift",
        validation=0,
        optimisation=optimisation,
        augmentation=changes.pop("augmentation", AIRBENCH),
        **changes,
    )


def _steps_sgd(
    model: str, epochs: float, batch_size: int, *, optimiser: str = "momentum"
) -> TrainOptions:
    """0.1, divided by 10 at half and at three quarters of the run; decay 1e-4."""
    optimisation = Optimisation(
        optimiser=optimiser,  # type: ignore[arg-type]
        schedule="steps",
        learning_rate=0.1,
        weight_decay=1e-4,
    )
    return TrainOptions(
        model=model,  # type: ignore[arg-type]
        dataset="cifar10",
        epochs=epochs,
        batch_size=batch_size,
        validation=0,
        optimisation=optimisation,
        augmentation=CROP_FLIP,
    )


def _imagenet(model: str, epochs: float, batch_size: int, rate: float, decay: float):
    optimisation = Optimisation(
        optimiser="momentum",
        schedule="plateau" if model == "alexnet" else "steps",
        learning_rate=rate,
        weight_decay=decay,
        milestones=(1 / 3, 2 / 3),
    )
    return TrainOptions(
        model=model,  # type: ignore[arg-type]
        dataset="imagenet2012",
        epochs=epochs,
        batch_size=batch_size,
        validation=10_000,
        optimisation=optimisation,
        augmentation=FLIP,
    )


def _lenet(dataset: str, model: str = "lenet5", rate: float = 5e-3) -> TrainOptions:
    """The main job's recipe on a full set, held-out images included, with larger batches."""
    return TrainOptions(
        model=model,  # type: ignore[arg-type]
        dataset=dataset,  # type: ignore[arg-type]
        epochs=20,
        batch_size=128,
        validation=0,
        optimisation=Optimisation(learning_rate=rate),
        augmentation=LENET,
    )


# He et al. 2015: 64,000 steps of 128 images; an epoch of 50,000 has 390 of them.
RESNET_EPOCHS = 64_000 / 390

PRESETS: dict[str, Preset] = {
    "lenet5-mnist5k": Preset(TrainOptions(), "the main job: LeNet-5 on 3,600 digits"),
    "lenet5-mnist": Preset(_lenet("mnist"), "LeCun et al. 1998; Quan: 0.8 % error, distorted"),
    "lenet5-paper-mnist": Preset(
        _lenet("mnist", "lenet5-paper", 2e-3), "LeCun et al. 1998, the table of C3: 0.8 % error"
    ),
    "lenet5-fashion": Preset(
        TrainOptions(
            dataset="fashion_mnist",
            epochs=20,
            batch_size=128,
            validation=0,
            augmentation=Augmentation(shift=1, rotation=0.0, zoom=0.0, flip="random"),
        ),
        "LeNet-5 on Fashion-MNIST",
    ),
    "fast-mnist": Preset(
        TrainOptions(
            model="fast-mnist",
            dataset="mnist",
            epochs=1,
            batch_size=256,
            validation=0,
            optimisation=Optimisation(learning_rate=0.01, momentum=0.7, second_moment=0.9),
            augmentation=NONE,
        ),
        'Oikarinen, "train_mnist_fast": 99.04 % ± 0.07 after one epoch',
    ),
    "accurate-mnist": Preset(
        TrainOptions(
            model="accurate-mnist",
            dataset="mnist",
            epochs=30,
            batch_size=64,
            validation=0,
            optimisation=Optimisation(
                schedule="exponential", learning_rate=1e-3, decay=0.95
            ),
            augmentation=Augmentation(
                shift=0, rotation=15.0, zoom=0.15, translation=2.8
            ),
        ),
        'Deotte 2018, "25 Million Images!": 99.64 % ± 0.05',
    ),
    "resnet20": Preset(
        _steps_sgd("resnet20", RESNET_EPOCHS, 128), "He et al. 2015, table 6: 8.75 % error"
    ),
    "resnet56": Preset(
        _steps_sgd("resnet56", RESNET_EPOCHS, 128), "He et al. 2015, table 6: 6.97 % error"
    ),
    "resnet110": Preset(
        _steps_sgd("resnet110", RESNET_EPOCHS, 128),
        "He et al. 2015, table 6: 6.61 % ± 0.16 error; they began at a rate of 0.01",
    ),
    "densenet100": Preset(
        _steps_sgd("densenet100", 300, 64, optimiser="nesterov"),
        "Huang et al. 2017, table 2, DenseNet-BC (L = 100, k = 12): 4.51 % error",
    ),
    "airbench94": Preset(
        _airbench_sgd("airbench94", 9.9, 11.5), "Jordan 2024: 94.01 % (1,000 runs)"
    ),
    "airbench94-muon": Preset(
        TrainOptions(
            model="airbench94-muon",
            dataset="cifar10",
            epochs=8,
            batch_size=2000,
            label_smoothing=0.2,
            tta="mirror-shift",
            validation=0,
            optimisation=Optimisation(
                optimiser="airbench-muon",
                schedule="linear",
                learning_rate=0.24,
                momentum=0.6,
                weight_decay=0.004,
            ),
            augmentation=AIRBENCH,
        ),
        "Jordan 2024, with Muon: 94.01 % (200 runs)",
    ),
    "airbench95": Preset(
        _airbench_sgd("airbench95", 15, 10.0), "Jordan 2024: 95.01 % (200 runs)"
    ),
    "airbench96": Preset(
        _airbench_sgd(
            "airbench96",
            37,
            9.0,
            weight_decay=0.012,
            augmentation=Augmentation(
                shift=4, shift_mode="reflect", rotation=0.0, zoom=0.0, flip="alternating", cutout=12
            ),
        ),
        "Jordan 2024: 96.00 % (200 runs)",
    ),
    "vgg6-cifar10": Preset(
        TrainOptions(
            model="vgg6", dataset="cifar10", epochs=30, batch_size=128, validation=5_000,
            optimisation=Optimisation(learning_rate=1e-3), augmentation=CROP_FLIP,
        ),
        "after Simonyan and Zisserman 2014",
    ),
    "alexnet-cifar10": Preset(
        TrainOptions(
            model="small-alexnet", dataset="cifar10", epochs=60, batch_size=128, validation=5_000,
            optimisation=Optimisation(
                optimiser="momentum", schedule="plateau", learning_rate=0.01, weight_decay=5e-4
            ),
            augmentation=CROP_FLIP,
        ),
        "after Krizhevsky et al. 2012 and Quan: the rate ÷ 10 when validation stalls",
    ),
    "alexnet-imagenet": Preset(
        _imagenet("alexnet", 90, 128, 0.01, 5e-4),
        "Krizhevsky et al. 2012: 37.5 % top-1 and 17.0 % top-5 error",
    ),
    "resnet18-imagenet": Preset(
        _imagenet("resnet18", 90, 256, 0.1, 1e-4), "He et al. 2015, for ImageNet"
    ),
    "resnet50-imagenet": Preset(
        _imagenet("resnet50", 90, 256, 0.1, 1e-4), "He et al. 2015, for ImageNet"
    ),
    "distorted-mnist": Preset(
        TrainOptions(
            model="lenet5", dataset="mnist", epochs=20, batch_size=128, validation=6_000,
            augmentation=LECTURES,
        ),
        "LeNet-5 under every distortion of the lectures, in full",
    ),
}  # fmt: skip


def listing() -> str:
    """A line for each preset, for --help."""
    width = max(map(len, PRESETS))
    lines = (f"  {name.ljust(width)}  {preset.source}" for name, preset in PRESETS.items())
    return "Presets:\n" + "\n".join(lines)
