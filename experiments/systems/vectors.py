"""Vectors of words from the company that they keep, for the text CNN to begin with.

Kim 2014, "Convolutional Neural Networks for Sentence Classification", begins with word2vec's
vectors and trains them further. Levy and Goldberg 2014, "Neural Word Embedding as Implicit Matrix
Factorization": such vectors factorise the matrix of pointwise mutual information between words and
their neighbours. That is done here directly, on the training documents and nothing else.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

WINDOW = 5  # words to either side
CONTEXTS = 2000  # neighbours that count: the most frequent words


def word_vectors(
    ids: Int[np.ndarray, "n t"], size: int, features: int, first: int = 2
) -> Float[np.ndarray, "size features"]:
    """A vector of length one for every word, and zero for the padding, which is word 0.

    P = max(ln(p(a, b) / (p(a) p(b))), 0) ≈ W Cᵀ; the vectors are the rows of W. Words without
    neighbours get random ones.

    Args:
        ids: of the words of each document, the more frequent the smaller.
        size: how many words there are.
        features: how long the vectors are.
        first: the smallest id that is a word.
    """
    contexts = min(CONTEXTS, size)
    counts = np.zeros((size, contexts), np.float32)
    for offset in range(1, WINDOW + 1):
        before, after = ids[:, :-offset].ravel(), ids[:, offset:].ravel()
        for word, context in ((before, after), (after, before)):
            kept = (word >= first) & (context >= first) & (context < contexts)
            np.add.at(counts, (word[kept], context[kept]), 1)
    # Rare neighbours would have too large a say: Levy, Goldberg and Dagan 2015.
    smoothed = counts.sum(0) ** 0.75
    smoothed *= counts.sum() / max(smoothed.sum(), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.log(
            counts * counts.sum() / (counts.sum(1, keepdims=True) * smoothed[None])
        )
    information = np.where(counts > 0, np.maximum(information, 0), 0)

    values, directions = np.linalg.eigh(information.T @ information)
    values, directions = values[::-1][:features], directions[:, ::-1][:, :features]
    vectors = np.random.default_rng(0).normal(size=(size, features)).astype(np.float32)
    found = information @ directions / np.maximum(values, 1e-9) ** 0.25
    known = np.linalg.norm(found, axis=1) > 1e-6
    vectors[known, : found.shape[1]] = found[known]
    vectors[known, found.shape[1] :] = 0
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[0] = 0
    return vectors
