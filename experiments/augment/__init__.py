"""Random changes of a batch of images: pure functions that run on the device, inside an epoch."""

from experiments.augment.affine import Ranges as Ranges
from experiments.augment.affine import random_affine as random_affine
from experiments.augment.affine import warp as warp
from experiments.augment.mix import cutmix as cutmix
from experiments.augment.mix import mixup as mixup
from experiments.augment.places import alternating_flip as alternating_flip
from experiments.augment.places import flip_where as flip_where
from experiments.augment.places import random_bits as random_bits
from experiments.augment.places import random_cutout as random_cutout
from experiments.augment.places import random_shift as random_shift
