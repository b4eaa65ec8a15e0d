"""Data sets: small ones as uint8 arrays, large ones streamed."""

from experiments.data.loading import load as load
from experiments.data.sets import DATASETS as DATASETS
from experiments.data.sets import Dataset as Dataset
from experiments.data.sets import Description as Description
from experiments.data.sets import Split as Split
from experiments.data.sets import balanced_order as balanced_order
from experiments.data.sets import check as check
from experiments.data.sets import checksum as checksum
from experiments.data.sets import describe as describe
from experiments.data.sets import fit as fit
from experiments.data.sets import generated as generated
from experiments.data.sets import hold_out as hold_out
from experiments.data.sets import pad_to_32 as pad_to_32
from experiments.data.sets import take as take
