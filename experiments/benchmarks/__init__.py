"""What stands behind `python -m experiments.benchmark`: rows, peers, workers, bars, reports."""
