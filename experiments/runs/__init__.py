"""A run as a folder: what it keeps, how it is read again, and the loop that fills it."""

from experiments.runs.folder import UNFINISHED as UNFINISHED
from experiments.runs.folder import append_metrics as append_metrics
from experiments.runs.folder import create as create
from experiments.runs.folder import folder_of as folder_of
from experiments.runs.folder import forget_comparisons as forget_comparisons
from experiments.runs.folder import load_parameters as load_parameters
from experiments.runs.folder import make as make
from experiments.runs.folder import metrics_line as metrics_line
from experiments.runs.folder import package_version as package_version
from experiments.runs.folder import read_metrics as read_metrics
from experiments.runs.folder import rewrite_metrics as rewrite_metrics
from experiments.runs.folder import save_parameters as save_parameters
from experiments.runs.folder import stored_options as stored_options
from experiments.runs.folder import versions as versions
from experiments.runs.folder import write_json as write_json
from experiments.runs.folder import write_whole as write_whole
from experiments.runs.folder import written as written
