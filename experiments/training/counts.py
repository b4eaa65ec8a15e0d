"""Options that only the data can refuse: how many images there are, and how large they are.

Where a run goes on, they are those of its folder, and its config.json is what is told of.
"""

from __future__ import annotations

from experiments.command_line.options import TrainOptions, UserError
from experiments.command_line.schema import stored_in


def check_held_out(options: TrainOptions, available: int) -> None:
    """Refuse to hold out all of the images to train on.

    Raises:
        UserError: none would be left.
    """
    with stored_in(options.safety.resume):
        if options.validation >= available:
            raise UserError(
                f"--validation must be less than the {available} training images, "
                f"got {options.validation}."
            )


def check_trained_on(options: TrainOptions, available: int, wanted: int) -> None:
    """Refuse to train on more images than there are, or in batches of more than are trained on.

    available: those that are not held out. wanted: those of them that are trained on.

    Raises:
        UserError: there are too few.
    """
    with stored_in(options.safety.resume):
        if (options.train_images or 0) > available:
            raise UserError(
                f"--train-images must be at most the {available} that are not held out, "
                f"got {options.train_images}."
            )
        if options.batch_size > wanted:
            raise UserError(
                f"--batch-size must be at most the {wanted} training images, "
                f"got {options.batch_size}."
            )


def check_watched(options: TrainOptions, validation: int) -> None:
    """Refuse a schedule that watches the validation accuracy where there are no images for it.

    Raises:
        UserError: there are none.
    """
    with stored_in(options.safety.resume):
        if options.optimisation.schedule == "plateau" and not validation:
            raise UserError(
                "--schedule plateau watches the validation accuracy: the folder must hold pictures "
                "to validate on, got none."
            )


def check_cutout(options: TrainOptions, side: int) -> None:
    """Refuse to cut out more than an image.

    Raises:
        UserError: it is more.
    """
    with stored_in(options.safety.resume):
        if options.augmentation.cutout > side:
            raise UserError(
                f"--cutout must be at most the {side} pixels of the images' side, "
                f"got {options.augmentation.cutout}."
            )
