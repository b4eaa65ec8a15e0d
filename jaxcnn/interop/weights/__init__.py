"""Weights: PyTorch's come in, those of any network go out; torch reads its own files only."""
