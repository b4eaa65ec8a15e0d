"""Pictures of a run: curves, confusion matrix, worst mistakes, first filters."""

from experiments.plots.curves import BLACK as BLACK
from experiments.plots.curves import BLUE as BLUE
from experiments.plots.curves import ORANGE as ORANGE
from experiments.plots.curves import save_curves as save_curves
from experiments.plots.looks import save_confusion as save_confusion
from experiments.plots.looks import save_filters as save_filters
from experiments.plots.looks import save_looks as save_looks
from experiments.plots.looks import save_mistakes as save_mistakes
