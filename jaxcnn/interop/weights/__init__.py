"""Weights: PyTorch's come in, those of any network go out; torch itself reads its own files only."""
