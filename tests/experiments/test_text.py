"""What the text classifiers are given: words, masked names, distinct documents, splits, numbers."""

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from experiments import text
from experiments.command_line.options import UserError
from experiments.systems import documents
from experiments.systems.duplicates import Distinct
from experiments.systems.masking import ALIASES, MASK, names_of, tokens_of, words_of
from experiments.systems.vectors import word_vectors

NAMES = names_of(documents.PACKAGES)


# Names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelling",
    [
        "numpy", "NumPy", "numpydoc", "np", "np.", "np_", "_np", "npy_intp", ".npz", "NEP",
        "scikit-learn", "scikit learn", "Scikit-Learn", "scikit\nlearn", "scikit_learn", "scikits",
        "sci-kit learn", "sklearn", "sklearn_is_fitted", "_sklearn_version", "skl_",
        "mpl_", "mpl_toolkits", "_mpl", "MplDeprecation", "mplot3d", "plt", "pyplot", "pylab",
        "matplotlibrc", "Matplotlib's", "pd", "to_pd", "PdSeries", "pandas", "jnp", "jsp", "jax2tf",
        "JAX", "jaxpr", "lax", "lax_numpy", "scipy", "sp", "asNumPy",
    ],
)  # fmt: skip
def test_a_name_is_masked_in_whatever_spelling(spelling):
    words = words_of(tokens_of(f"the {spelling} thing", NAMES))
    left = [word for word in words if word not in ("the", "thing", MASK)]
    assert MASK in words
    assert set(left) <= {"s", "d", "tf"}, left  # of Matplotlib's, mplot3d, jax2tf


@pytest.mark.parametrize("word", ["spline", "nplus", "relaxed", "spd", "learn", "plot", "split"])
def test_words_that_only_look_like_names_stay(word):
    assert tokens_of(word, NAMES) == [word]


def test_signs_and_numbers_count_as_words_do():
    found = tokens_of("x : ndarray, shape (n, 128)\n-------\n>>> np.exp(x_1)  # 2.5", NAMES)
    expected = "x : ndarray , shape ( n , 0 ) --- >>> package . exp ( x 0 ) # 0 . 0"
    assert found == expected.split()
    assert words_of(found) == ["x", "ndarray", "shape", "n", "package", "exp", "x"]


def test_no_name_is_left_in_the_docstrings_themselves():
    """Of the smallest package, in which every other one is spoken of as well."""
    found = documents.collect(["sklearn", "numpy"], enough=40)
    words = {word for files in found.files for file in files for text in file for word in text}
    hidden = {"numpy", "sklearn", "scikit", "np", "npy", "npz", *ALIASES["sklearn"]}
    assert not hidden & {part for word in words for part in word.split("_")}
    assert MASK in words


# Documents ----------------------------------------------------------------------------------------


def test_of_near_duplicates_one_is_taken():
    words = [f"w{i}" for i in range(40)]
    distinct = Distinct()
    assert distinct.add(words)
    assert not distinct.add(words)
    assert not distinct.add(words[:25])  # a quotation
    assert not distinct.add([*words, *(f"v{i}" for i in range(60))])  # one that quotes all of it
    changed = [word if i % 9 else "x" for i, word in enumerate(words)]
    assert not distinct.add(changed)
    assert distinct.add(words[::-1])
    assert distinct.add([word if i % 4 else "x" for i, word in enumerate(words)])


def package(root: Path, name: str, files: dict[str, list[str]]) -> None:
    """A package of modules, each with functions that have these docstrings."""
    for path, texts in {"__init__.py": [], **files}.items():
        target = root / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        lines = [f'def f{i}():\n    """{text}"""\n' for i, text in enumerate(texts)]
        target.write_text("\n".join(lines))


def sentence(*name: str) -> str:
    """Twenty-six words that no other name shares."""
    return " ".join(chr(97 + i) + "".join(name) for i in range(26))


@pytest.fixture
def animals(monkeypatch, tmp_path):
    """Two packages: files of 1 to 15 texts, tests, vendored code, and one text in both."""
    letters = "abcdefghijkl"
    for name in ("zebra", "yak"):
        own = name[:2]  # the name itself would be masked
        files = {f"m{x}.py": [f"Zebra {sentence(own, x)}"] for x in letters}
        files["large.py"] = [sentence(own, "large", x, y) for x in "abcde" for y in "fgh"]
        files["tests/test_m.py"] = [f"hidden {sentence(own, 'test')}"]
        for folder in ("_vendor", "extern", "externals"):
            files[f"{folder}/other.py"] = [f"hidden {sentence(own, folder)}"]
        files["both.py"] = [sentence("both")]
        package(tmp_path, name, files)
    (tmp_path / "zebra" / "template.py").write_text("{{ no python }} def")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "zebra", "yak"


def test_documents_are_masked_distinct_and_split_by_file(animals):
    found = documents.collect(animals, enough=1000)
    corpus = documents.divide(found, train=50, test=12, split=0)
    both = [" ".join(words) for part in (corpus.train, corpus.test) for words in part.words]
    assert not any("hidden" in text or "zebra" in text.split() for text in both)
    assert any(text.startswith(MASK) for text in both)
    assert len(set(both)) == len(both)
    assert sum(text == sentence("both") for text in both) <= 1
    for label, name in enumerate(animals):
        sides = []
        for part in (corpus.train, corpus.test):
            own = [w for w, y in zip(part.words, part.labels, strict=True) if y == label]
            sides.append({f"{name[:2]}large" in words[-1] for words in own})
        # The fifteen texts of the large file are all on one side.
        assert sides[0] & sides[1] <= {False}
    assert np.bincount(corpus.test.labels).tolist() == [12, 12]
    assert corpus.classes == animals


def test_each_paragraph_is_a_document(monkeypatch, tmp_path):
    first, second = sentence("x"), sentence("y")
    package(tmp_path, "okapi", {"m.py": [f"{first}\n\n  {second}\n  {sentence('z')}\n\ntoo short"]})
    monkeypatch.syspath_prepend(str(tmp_path))
    ((texts,),) = [[f for f in files if f] for files in documents.collect(["okapi"], 9).files]
    assert [" ".join(words) for words in texts] == [first, f"{second} {sentence('z')}"]


def test_another_split_has_other_tests_and_the_same_one_the_same(animals):
    found = documents.collect(animals, enough=1000)
    first, again, other = (documents.divide(found, 50, 12, split).test.words for split in (3, 3, 4))
    assert first == again
    assert sorted(first) != sorted(other)


def test_a_file_gives_only_some_documents_to_the_test(animals, monkeypatch):
    monkeypatch.setattr(documents, "OF_A_FILE", 10)
    found = documents.collect(animals[:1], enough=1000)
    for split in range(4):
        words = documents.divide(found, 50, 20, split).test.words
        assert sum("zelarge" in text[-1] for text in words) <= documents.OF_A_FILE


def test_too_few_documents_are_told(animals):
    found = documents.collect(animals, enough=1000)
    with pytest.raises(UserError, match=r"zebra has 28 paragraphs .* too few for 28 test"):
        documents.divide(found, 1, 28, 0)


# Numbers ------------------------------------------------------------------------------------------


def test_words_become_numbers():
    both = documents.Documents([["b", "a", "b"], ["c", "b", "a", "a"]], np.array([0, 1]))
    known = documents.vocabulary(both, 4, length=4)
    assert known == {"a": 2, "b": 3}
    assert documents.vocabulary(both, 3, length=1) == {"b": 2}
    ids = documents.ids_of(both, known, 3)
    assert ids.tolist() == [[3, 2, 3], [1, 3, 2]]
    assert documents.ids_of(both, known, 5)[0].tolist() == [3, 2, 3, 0, 0]
    rarity = text.rarity_of(ids, 4)
    bag = np.asarray(text.bag_of_words(jnp.asarray(ids), jnp.asarray(rarity)))
    expected = np.array([0, 0, np.log(2), np.log(3)])  # "a" and "b" are in both: rarity 1
    np.testing.assert_allclose(bag[0], expected / np.linalg.norm(expected), rtol=1e-6)
    assert bag[1, 1] > bag[1, 2]


def test_words_of_the_same_company_have_vectors_alike():
    """2 and 3 stand among 4, 5 and 6; 7 and 8 among 9, 10 and 11; 12 stands nowhere."""
    rng = np.random.default_rng(0)
    company = rng.integers(0, 3, (400, 9)).astype(np.int32)
    group = np.arange(400)[:, None] % 2
    ids = 4 + 5 * group + company
    ids[:, 4] = (2 + 5 * group + rng.integers(0, 2, (400, 1)))[:, 0]
    vectors = word_vectors(ids, 13, 4)
    np.testing.assert_allclose(np.linalg.norm(vectors[2:], axis=1), 1, rtol=1e-5)
    assert not vectors[0].any()
    assert vectors[2] @ vectors[3] > 0.9
    assert vectors[7] @ vectors[8] > 0.9
    assert abs(vectors[2] @ vectors[7]) < 0.3
    assert np.isfinite(vectors).all()


# TFDS ---------------------------------------------------------------------------------------------


def write_news(data_dir: Path, splits: dict[str, list[dict[str, Any]]]) -> None:
    """A prepared ag_news_subset of these examples, as TFDS writes it."""
    import tensorflow_datasets as tfds
    from array_record.python.array_record_module import ArrayRecordWriter
    from tensorflow_datasets.proto import tf_example_pb2

    example_of: Any = tf_example_pb2
    builder: Any = tfds.builder("ag_news_subset", data_dir=data_dir, file_format="array_record")
    folder = Path(builder.data_path)
    folder.mkdir(parents=True)
    builder.info.features.save_config(str(folder))
    about: dict[str, Any] = {
        "name": "ag_news_subset",
        "version": str(builder.version),
        "fileFormat": "array_record",
        "splits": [],
    }
    for split, examples in splits.items():
        writer = ArrayRecordWriter(
            str(folder / f"ag_news_subset-{split}.array_record-00000-of-00001"), "group_size:1"
        )
        for example in examples:
            encoded = example_of.Example()
            feature = encoded.features.feature
            for name in ("title", "description"):
                feature[name].bytes_list.value.append(example[name].encode())
            feature["label"].int64_list.value.append(example["label"])
            writer.write(encoded.SerializeToString())
        writer.close()
        about["splits"].append(
            {
                "name": split,
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
                "numBytes": "0",
                "shardLengths": [str(len(examples))],
            }
        )
    (folder / "dataset_info.json").write_text(json.dumps(about))


def test_sets_of_tfds_are_read_with_all_their_fields_and_no_more_words_than_asked_for(tmp_path):
    examples = [
        {"title": "Rates rise", "description": "The banké said so.", "label": 2},
        {"title": "A goal!", "description": "In the last minute", "label": 1},
    ]
    write_news(tmp_path, {"train": examples, "test": examples[1:]})
    corpus = documents.from_tfds("ag_news_subset", tmp_path, None, length=6)
    assert corpus.train.words[0] == ["rates", "rise", "the", "bank", "said", "so"]
    assert corpus.test.words == [["a", "goal", "!", "in", "the", "last"]]
    assert corpus.train.labels.tolist() == [2, 1]
    assert corpus.classes[1] == "Sports"
    short = documents.from_tfds("ag_news_subset", tmp_path, None, length=3)
    assert [len(words) for words in short.train.words] == [3, 3]
    # A word is kept once, however often it stands there.
    assert short.train.words[1][0] is short.test.words[0][0]


def test_news_are_classified_by_the_command(capsys, tmp_path):
    words = (("markets", "shares"), ("match", "goal"))
    examples = [
        {"title": title, "description": f"The {noun} of today, {n}", "label": label}
        for n in range(30)
        for label, (title, noun) in enumerate(words)
    ]
    write_news(tmp_path, {"train": examples, "test": examples[:20]})
    arguments = ["--dataset", "ag_news_subset", "--data-dir", str(tmp_path), "--features", "4"]
    arguments += ["--length", "8", "--batch-size", "10", "--epochs", "8", "--no-progress"]
    arguments += ["--learning-rate", "0.03", "--dropout", "0", "--word-dropout", "0"]
    assert text.main([*arguments, "--run-dir", str(tmp_path / "run")]) == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["classes"] == ["World", "Sports", "Business", "Sci/Tech"]
    assert summary["cnn_accuracy"]["mean"] > 0.9
    assert summary["bag_of_words_accuracy"]["mean"] > 0.9


def test_bags_of_a_large_test_set_never_stand_in_memory_together(monkeypatch):
    """25,000 reviews times 10,000 words are a gigabyte: bags are made batch by batch."""
    sizes = []
    bag_of_words = text.bag_of_words

    def counted(ids, rarity):
        sizes.append(ids.shape[0])
        return bag_of_words(ids, rarity)

    monkeypatch.setattr(text, "bag_of_words", counted)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 450).astype(np.int32)
    ids = (rng.integers(2, 5, (450, 5)) + 3 * labels[:, None]).astype(np.int32)
    texts = text.Numbered(ids[:50], ids, (labels[:50], labels), 8)
    found = text.predict_by_bag(texts, 2, text.Options(batch_size=10))
    assert found.shape == (450,)
    assert max(sizes) <= 200
    assert np.mean(found == labels) > 0.8
