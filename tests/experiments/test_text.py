"""What the text classifiers are given: words without names, distinct documents, fair splits."""

import json

import numpy as np
import pytest

from experiments import text
from experiments.systems.paragraphs import Documents, collect, words_of


def test_signs_are_words_and_names_and_numbers_are_not():
    found = words_of("x : ndarray, shape (n, 128)\n>>> np.exp(x_1)  # NumPy 2.5")
    assert " ".join(found) == "x : ndarray , shape ( n , ) > > > . exp ( x ) # ."


@pytest.mark.parametrize(
    "name", ["numpydoc", "NumPy", "np.", "_np", "npy_intp", "mpl_toolkits", "plt", "Matplotlib's",
             "scikit-learn", "scikit learn", "sklearn_tags", "pd", "jaxlib", "jnp", "sp"],
)  # fmt: skip
def test_names_of_packages_are_left_out(name):
    left = words_of(f"the {name} thing")
    assert (left[0], left[-1]) == ("the", "thing")
    assert {*left[1:-1]} <= {".", "'", "s", "intp", "toolkits"}


@pytest.mark.parametrize("word", ["spline", "relaxed", "learn", "plot", "input", "example"])
def test_words_that_only_look_like_names_stay(word):
    assert words_of(word) == (word,)


def package(root, name, files):
    """A package whose modules have functions with these docstrings."""
    for path, texts in {"__init__.py": [], **files}.items():
        (root / name / path).parent.mkdir(parents=True, exist_ok=True)
        lines = [f'def f{i}():\n    """{text}"""\n' for i, text in enumerate(texts)]
        (root / name / path).write_text("\n".join(lines))


def sentence(*name):
    """Twenty-six words that no other name shares."""
    return " ".join(chr(97 + i) + "".join(name) for i in range(26))


@pytest.fixture
def animals(monkeypatch, tmp_path):
    """Two packages: files of 3 to 50 texts, tests, code of others, and one text in both."""
    for name in ("zebra", "yak"):
        files = {f"m{x}.py": [sentence(name, x, y) for y in "abc"] for x in "abcdefghij"}
        files["large.py"] = [sentence(name, x, y) for x in "klmno" for y in "abcdefghij"]
        for folder in ("tests", "_vendor", "externals"):
            files[f"{folder}/other.py"] = [f"hidden {sentence(name, folder)}"]
        files["both.py"] = [sentence("both")]
        files["two.py"] = [f"{sentence(name, 'p')}\n\n    {sentence(name, 'q')}\n\n    too short"]
        package(tmp_path, name, files)
    (tmp_path / "zebra/template.py").write_text("{{ no python }} def")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "zebra", "yak"


def test_documents_are_distinct_paragraphs_of_the_packages_own_code(animals):
    found = collect(animals, 1000)
    texts = [" ".join(words) for words in found.words]
    assert len(set(texts)) == len(texts)
    assert sum(text == sentence("both") for text in texts) == 1
    assert {sentence("yak", "p"), sentence("yak", "q")} <= {*texts}
    assert not any("hidden" in text or "short" in text for text in texts)
    # Ten files of three, one of fifty that gives forty, one of two; the text of both packages.
    assert np.bincount(found.labels).tolist() == [73, 72]
    assert np.bincount(collect(animals, 50).labels).tolist() == [50, 50]


def test_no_file_is_on_both_sides_and_each_seed_has_its_split():
    files = np.arange(200) // 4
    documents = Documents([(f"w{i}",) for i in range(200)], files % 2, files)
    first, again, other = (text.split(documents, seed) for seed in (0, 0, 1))
    for train, test in (first, other):
        assert not {*train.files} & {*test.files}
        assert (len(train.words), len(test.words)) == (180, 20)
        for side in (train, test):
            assert [int(words[0][1:]) // 4 for words in side.words] == side.files.tolist()
            np.testing.assert_array_equal(side.labels, side.files % 2)
    assert first[1].words == again[1].words != other[1].words


def test_words_become_numbers():
    ids = text.ids_of([("b", "a", "c"), ("a",)], {"a": 0, "b": 1}, 4)
    assert ids.tolist() == [[3, 2, 1, 0], [2, 0, 0, 0]]


def test_only_the_training_documents_words_are_known_and_order_is_seen():
    """The class is whether "not" stands before "good": a bag of words cannot tell."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    order = (("good", "but", "not", "new"), ("not", "good", "but", "new"))
    words = [(*rng.choice(["a", "b", "c"], 3), *order[label]) for label in labels]
    train = Documents(words[:200], labels[:200], labels[:200])
    test = Documents([(*w, "unseen") for w in words[200:]], labels[200:], labels[200:])
    options = text.Options(length=8, vocabulary=50, features=8, epochs=20, batch_size=20)
    found, _ = text.classify(train, test, options)
    right = {name: np.mean(classes == test.labels) for name, classes in found.items()}
    assert right["cnn"] == 1
    assert right["bag_of_words"] < 0.7


def test_the_command_summarises_its_seeds(capsys, tmp_path, monkeypatch):
    documents = Documents(
        [tuple(f"{'ab'[i % 2]}{j}" for j in range(12)) for i in range(120)],
        np.arange(120, dtype=np.int32) % 2,
        np.arange(120) // 4,
    )
    monkeypatch.setattr(text, "collect", lambda packages, per_class: documents)
    monkeypatch.setattr(text, "PACKAGES", ("zebra", "yak"))
    few = ["--features", "4", "--length", "10", "--batch-size", "12", "--epochs", "8"]
    few += ["--seeds", "2", "--no-progress", "--run-dir", str(tmp_path / "run")]
    assert text.main(few) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "run/text.png")
    assert (tmp_path / "run/text.png").read_bytes().startswith(b"\x89PNG")
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["bag_of_words"] == {"mean": 1, "std": 0, "each": [1, 1]}
    assert summary["cnn"]["mean"] > 0.9
    assert summary["test_documents"] == 24
    assert len((tmp_path / "run/metrics.jsonl").read_text().splitlines()) == 16


def test_accuracies_of_several_seeds_are_summarised():
    summary = text.summarise({"cnn": [0.8, 0.6, 0.7], "bag_of_words": [0.7, 0.6, 0.5]})
    assert summary["cnn"]["mean"] == pytest.approx(0.7)
    assert summary["cnn"]["std"] == pytest.approx(0.1)
    np.testing.assert_allclose(summary["ahead"]["each"], [0.1, 0, 0.2], atol=1e-12)
    assert text.summarise({"cnn": [0.5], "bag_of_words": [0.5]})["ahead"]["std"] is None


@pytest.mark.full
@pytest.mark.usefixtures("optimised")
def test_the_text_cnn_beats_the_bag_of_words(tmp_path):
    """On average over splits: on one of them chance may decide."""
    arguments = ["--no-progress", "--seeds", "3", "--run-dir", str(tmp_path / "run")]
    assert text.main(arguments) == 0
    assert json.loads((tmp_path / "run/summary.json").read_text())["ahead"]["mean"] > 0
