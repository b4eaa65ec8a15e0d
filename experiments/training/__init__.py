"""Training as pure functions: recipes, steps, epochs on the device, predictions."""

from experiments.training.epoch import Batches as Batches
from experiments.training.epoch import Looped as Looped
from experiments.training.epoch import Resident as Resident
from experiments.training.epoch import Scanned as Scanned
from experiments.training.epoch import Segment as Segment
from experiments.training.epoch import make_advance as make_advance
from experiments.training.epoch import plan_epoch as plan_epoch
from experiments.training.epoch import segments as segments
from experiments.training.epoch import usual_segment as usual_segment
from experiments.training.evaluation import compile_predict as compile_predict
from experiments.training.evaluation import confusion_counts as confusion_counts
from experiments.training.evaluation import scores as scores
from experiments.training.optimisers import make_optimiser as make_optimiser
from experiments.training.recipe import Averaging as Averaging
from experiments.training.recipe import Metrics as Metrics
from experiments.training.recipe import Plan as Plan
from experiments.training.recipe import Recipe as Recipe
from experiments.training.recipe import TrainState as TrainState
from experiments.training.recipe import evaluated as evaluated
from experiments.training.recipe import initial_state as initial_state
from experiments.training.schedules import library_promotion as library_promotion
from experiments.training.schedules import make_schedule as make_schedule
from experiments.training.step import normalise as normalise
