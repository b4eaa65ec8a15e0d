"""Question: does a convolutional network read text better than a bag of words?

Command:  python -m experiments.text --seed 10 --seeds 10
          (--dataset ag_news_subset or imdb_reviews, by TFDS)
Result:   73.2 % ± 1.1, bag of words 72.4 % ± 1.1 (10 seeds); the CNN is ahead by 0.8 % on average
          (standard error 0.3), and with eight seeds of ten
Time:     12 minutes
Hardware: 2 cores of an AMD EPYC (AVX-512), float32, jax 0.10.2

Huang, "CNN for Text Processing"; Kim 2014: embedding → convolutions over 3, 4 and 5 words → maximum
over time → dropout → dense. The default text needs no download: paragraphs of the docstrings of six
installed packages, the class being the package; names are masked in every spelling, of
near-duplicates one is kept, and each seed has a split of its own. Signs are read as words. The
embedding begins with vectors computed from the training documents. The bag of words is a logistic
regression, trained with the same rules on the same documents: its input is the frequency of every
word, weighted by how few documents hold it (tf-idf).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.nn import initializers
from jaxtyping import Float, Int

import jaxcnn
from experiments import runs
from experiments.command_line import program
from experiments.command_line.options import UserError
from experiments.plots.small import save_small
from experiments.systems import record
from experiments.systems.documents import (
    PACKAGES,
    PADDING,
    UNKNOWN,
    Corpus,
    collect,
    divide,
    from_tfds,
    ids_of,
    versions_of,
    vocabulary,
)
from experiments.systems.fit import Report, Settings, Task, Trained, fit, predict
from experiments.systems.vectors import word_vectors
from experiments.training.evaluation import confusion_counts
from jaxcnn.layers import (
    Activation,
    Conv,
    Dense,
    Dropout,
    Embedding,
    GlobalMaxPool,
    Layer,
    concatenated,
    serial,
)
from jaxcnn.models import logistic_regression
from jaxcnn.ops.activation import relu

# The bag of words has settings of its own, chosen for it: see docs/programs.md.
BAG = Settings(epochs=20, batch_size=64, learning_rate=1e-2)
BAG_WORD_DROPOUT = 0.4


@dataclass(frozen=True)
class Options(record.SystemOptions):
    """Train a text CNN and a bag of words on the same documents."""

    dataset: Literal["docstrings", "ag_news_subset", "imdb_reviews"] = "docstrings"
    """docstrings need no download; the others are TFDS's."""
    data_dir: Path | None = None
    """Folder of prepared TFDS data."""
    manual_dir: Path | None = None
    """Folder of original files, from which TFDS prepares the data without a network."""
    packages: tuple[str, ...] = PACKAGES
    """Whose docstrings are read."""
    seeds: int = 1
    """How often both are trained: with --seed, --seed + 1, …, each on a split of the docstrings of
    its own."""
    train_per_class: int = 6000
    """Paragraphs of each package to learn from, at most."""
    test_per_class: int = 400
    """Paragraphs of each package to be judged by, from other files."""
    length: int = 64
    """Words and signs of a document that are read, from the first on."""
    vocabulary: int = 10_000
    """How many words and signs are told apart: the most frequent ones."""
    features: int = 64
    """Of the embedding, and of each of the three convolutions."""
    dropout: float = 0.5
    """Part of the features dropped in training."""
    word_dropout: float = 0.2
    """Part of the words taken for unknown while the CNN is trained."""
    epochs: int = 8
    """Passes of the CNN over the training documents."""


def network(options: Options, table: Float[np.ndarray, "v features"], classes: int) -> Layer:
    """Embedding → convolutions of widths 3, 4, 5 → max over time → dropout → dense.

    table: what the embedding begins with.
    """
    widths = {
        f"width{width}": serial(
            conv=Conv(options.features, width, padding="SAME"),
            relu=Activation(relu),
            max_over_time=GlobalMaxPool(),
        )
        for width in (3, 4, 5)
    }
    return serial(
        embedding=Embedding(*table.shape, table_init=initializers.constant(jnp.asarray(table))),
        widths=concatenated(**widths),
        dropout=Dropout(options.dropout),
        output=Dense(classes, weight_init=initializers.lecun_normal()),
    )


def forget(key: Array, ids: Int[Array, "n t"], rate: float) -> Int[Array, "n t"]:
    """Words taken for unknown, each with this probability: so that no single one is relied on."""
    kept = jax.random.uniform(key, ids.shape, jnp.float32) >= rate
    return jnp.where(kept | (ids == PADDING), ids, jnp.full_like(ids, UNKNOWN))


def bag_of_words(ids: Int[Array, "n t"], rarity: Float[Array, " v"]) -> Float[Array, "n v"]:
    """log(1 + count) of every word times its rarity, scaled to length one."""
    rows = jnp.arange(ids.shape[0], dtype=jnp.int32)[:, None]
    counts = jnp.zeros((ids.shape[0], rarity.shape[0]), jnp.float32).at[rows, ids].add(1)
    weighted = jnp.log1p(counts.at[:, PADDING].set(0)) * rarity[None]
    norm = jnp.sqrt((weighted**2).sum(1, keepdims=True))
    return weighted / jnp.maximum(norm, 1e-6)


def rarity_of(ids: Int[np.ndarray, "n t"], size: int) -> Float[np.ndarray, " v"]:
    """1 + log((1 + documents) / (1 + documents with the word)): the idf."""
    frequency = np.zeros(size, np.int64)
    for row in ids:
        frequency[np.unique(row)] += 1
    return (1 + np.log((1 + len(ids)) / (1 + frequency))).astype(np.float32)


def load(options: Options) -> Callable[[int], Corpus]:
    """From a seed to the documents, split; refuses options without sense."""
    for name, least in (("seeds", 1), ("train_per_class", 1), ("test_per_class", 1), ("length", 1),
                        ("features", 1), ("vocabulary", 3)):  # fmt: skip
        if (value := getattr(options, name)) < least:
            flag = "--" + name.replace("_", "-")
            raise UserError(f"{flag} must be at least {least}, got {value}.")
    for name in ("dropout", "word_dropout"):
        if not 0 <= getattr(options, name) < 1:
            flag = "--" + name.replace("_", "-")
            raise UserError(f"{flag} must be from 0 to less than 1, got {getattr(options, name)}.")
    if options.dataset != "docstrings":
        corpus = from_tfds(options.dataset, options.data_dir, options.manual_dir, options.length)
        return lambda seed: corpus
    if len(set(options.packages)) < 2:
        raise UserError(f"--packages must be two at least, got {' '.join(options.packages)}.")
    train, test = options.train_per_class, options.test_per_class
    # What is left over makes one split differ from another.
    collection = collect(options.packages, enough=2 * (train + test))
    return partial(divide, collection, train, test)


class Numbered(NamedTuple):
    """A corpus as ids of words, and how many words there are."""

    train: Int[np.ndarray, "n t"]
    test: Int[np.ndarray, "m t"]
    labels: tuple[np.ndarray, np.ndarray]
    size: int


def numbered(corpus: Corpus, options: Options) -> Numbered:
    """The words known are those of the training documents."""
    known = vocabulary(corpus.train, options.vocabulary, options.length)
    train, test = (ids_of(part, known, options.length) for part in (corpus.train, corpus.test))
    return Numbered(train, test, (corpus.train.labels, corpus.test.labels), len(known) + 2)


def work(options: Options) -> Path:
    """Train both with every seed, compare, draw what the CNN confuses."""
    corpus_of = load(options)
    corpus = corpus_of(options.seed)
    record.check_batch(options, len(corpus.train.words))
    folder = record.open_folder("text", options)
    classes = len(corpus.classes)
    counts = f"{len(corpus.train.words):,} training, {len(corpus.test.words):,} test documents"
    print(f"{counts} of {classes} classes", flush=True)

    found: dict[str, list[float]] = {"cnn": [], "bag_of_words": []}
    confused = np.zeros((classes, classes), np.int64)
    for seed in range(options.seed, options.seed + options.seeds):
        seeded = replace(options, seed=seed)
        texts = numbered(corpus if seed == options.seed else corpus_of(seed), options)
        more = {"seed": seed} if options.seeds > 1 else {}
        net, trained = fit_cnn(texts, classes, seeded, record.reporter(folder, options, **more))
        predicted = predict(net, trained, texts.test).argmax(1)
        by_bag = predict_by_bag(texts, classes, seeded)
        _, labels = texts.labels
        found["cnn"].append(float(np.mean(predicted == labels)))
        found["bag_of_words"].append(float(np.mean(by_bag == labels)))
        confused += confusion_counts(labels, predicted, classes)
        if seed == options.seed:
            runs.save_parameters(folder, trained.params, trained.net_state)
    summary = summarise(found, confused, corpus.classes)
    summary["bag_of_words"] = {**asdict(BAG), "word_dropout": BAG_WORD_DROPOUT}
    if options.dataset == "docstrings":  # other versions say other things
        summary["versions"] = versions_of(options.packages)
    runs.write_json(folder / "summary.json", summary)
    draw(summary, folder / "text.png")
    print(f"test accuracy: {sentence(summary)}")
    return folder / "text.png"


def fit_cnn(
    texts: Numbered, classes: int, options: Options, report: Report | None = None
) -> tuple[Layer, Trained]:
    """The text CNN, trained with the seed of the options."""
    net = network(options, word_vectors(texts.train, texts.size, options.features), classes)
    trained = fit(
        Task(
            net,
            lambda key, batch: (forget(key, batch["ids"], options.word_dropout), batch["labels"]),
            jaxcnn.softmax_cross_entropy,
        ),
        {"ids": texts.train, "labels": texts.labels[0]},
        options.settings,
        key=jax.random.key(options.seed),
        input_shape=(options.length,),
        report=report,
    )
    return net, trained


def predict_by_bag(texts: Numbered, classes: int, options: Options) -> Int[np.ndarray, " m"]:
    """The classes by a bag of words that was trained by the same loop with the same rules."""
    rarity = jnp.asarray(rarity_of(texts.train, texts.size))
    net = logistic_regression(classes)

    def prepare(key: Array, batch: dict[str, Array]) -> tuple[Array, Array]:
        ids = forget(key, batch["ids"], BAG_WORD_DROPOUT)
        return bag_of_words(ids, rarity), batch["labels"]

    trained = fit(
        Task(net, prepare, jaxcnn.softmax_cross_entropy),
        {"ids": texts.train, "labels": texts.labels[0]},
        replace(BAG, batch_size=min(BAG.batch_size, options.batch_size)),
        key=jax.random.key(options.seed),
        input_shape=(texts.size,),
    )
    # A bag has an entry for every word: those of all test documents would be gigabytes.
    outputs = predict(net, trained, texts.test, prepare=lambda ids: bag_of_words(ids, rarity))
    return outputs.argmax(1)


def summarise(
    found: dict[str, list[float]], confused: np.ndarray, classes: Sequence[str]
) -> dict[str, Any]:
    """Accuracies of each seed with mean and standard deviation; confusions of all seeds."""
    ahead = np.subtract(found["cnn"], found["bag_of_words"]).tolist()
    summary: dict[str, Any] = {}
    for name, values in (*found.items(), ("ahead", ahead)):
        summary[f"{name}_accuracy"] = {
            "mean": float(np.mean(values)),
            "std": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "each": values,
        }
    return {**summary, "confusion": confused.tolist(), "classes": list(classes)}


def sentence(summary: dict[str, Any]) -> str:
    """text CNN 80.0 % ± 0.5, bag of words …: what the command prints and the picture says."""
    parts = []
    for name in ("cnn", "bag_of_words", "ahead"):
        about = summary[f"{name}_accuracy"]
        spread = "" if about["std"] is None else f" ± {100 * about['std']:.1f}"
        words = {"cnn": "text CNN", "bag_of_words": "bag of words", "ahead": "difference"}[name]
        parts.append(f"{words} {100 * about['mean']:.1f} %{spread}")
    count = len(summary["cnn_accuracy"]["each"])
    return ", ".join(parts) + (f" ({count} seeds)" if count > 1 else "")


def draw(summary: dict[str, Any], path: Path) -> None:
    """The confusion matrix, true classes downwards."""
    from matplotlib.figure import Figure

    names, counts = summary["classes"], np.asarray(summary["confusion"])
    figure = Figure(figsize=(1.6 + 0.75 * len(names), 1.3 + 0.65 * len(names)),
                    layout="constrained", dpi=110)  # fmt: skip
    axis = figure.subplots()
    axis.imshow(counts, cmap="Blues")
    axis.set(xlabel="taken for", ylabel="is from")
    axis.set_xticks(range(len(names)), names, rotation=35, ha="right")
    axis.set_yticks(range(len(names)), names)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if count > counts.max() / 2 else "black"
        axis.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    axis.set_title(sentence(summary).replace(", difference", "\ndifference"), fontsize=10)
    save_small(figure, path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    return record.run("text", Options, work, arguments)


if __name__ == "__main__":
    program.run(main)
