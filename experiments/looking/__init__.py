"""Seeing what a network learned: what stands behind `inspect.py` and `demo.py`."""
