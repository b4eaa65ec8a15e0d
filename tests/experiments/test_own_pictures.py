"""A folder of one's own pictures: split, read, trained on, looked at; what is wrong is named."""

import json
import re
import shutil

import jax
import numpy as np
import pytest
from PIL import Image, ImageDraw

from experiments import evaluate, inspect, predict, runs, train
from experiments.command_line.options import Pictures, UserError
from experiments.data import own

KINDS = ("circles", "squares", "stripes")
FORMATS = ("png", "jpg", "gif", "bmp", "webp", "tiff")


def draw(number, size=None):
    """A picture of the kind number modulo 3, in colours and a size of its own."""
    rng = np.random.default_rng(number)
    w, h = map(int, rng.integers(24, 120, 2) if size is None else size)
    back, front = (tuple(map(int, rng.integers(*ends, 3))) for ends in ((0, 80), (150, 256)))
    picture = Image.new("RGB", (w, h), back)
    pen = ImageDraw.Draw(picture)
    box = w * 0.2, h * 0.2, w * 0.8, h * 0.8
    match KINDS[number % 3]:
        case "circles":
            pen.ellipse(box, fill=front)
        case "squares":
            pen.rectangle(box, fill=front)
        case "stripes":
            for x in range(0, w, 8):
                pen.line((x, 0, x, h), fill=front, width=3)
    return picture


def fill(folder, count, names=KINDS):
    for number in range(count):
        place = folder / names[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        draw(number).save(place / f"{number}.{FORMATS[number % 6]}")
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """200 pictures of three kinds and mixed sizes and formats, and a file that is none."""
    folder = fill(tmp_path_factory.mktemp("pictures") / "mine", 200)
    (folder / "circles" / "notes.txt").write_text("no picture")
    (folder / ".hidden").mkdir()
    (folder / "squares" / ".DS_Store").write_text("not looked at")
    return folder


def arguments(folder, run, *more):
    return [
        "--dataset", "folder", "--data-dir", str(folder), "--model", "mlp", "--image-size", "16",
        "--epochs", "2", "--batch-size", "24", "--checkpoint-seconds", "0", "--no-progress",
        "--keep", "9", "--run-dir", str(run), *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def run(pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert train.main(arguments(pictures, folder, "--segment", "2")) == 0
    return folder


def told(code, main, given, capsys):
    """What a program says of a mistake, in one line."""
    capsys.readouterr()
    assert main([str(each) for each in given]) == code
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_folder_trains_and_goes_on(pictures, run, tmp_path, capsys):
    again = tmp_path / "again"
    shutil.copytree(run, again)
    assert train.main(["--resume", str(again), "--checkpoint", "2"]) == 0
    assert "Going on after step 2." in capsys.readouterr().out
    first, second = (runs.load_parameters(folder) for folder in (run, again))
    jax.tree.map(np.testing.assert_array_equal, first, second)
    options = runs.stored_options(run).pictures
    assert options.classes == KINDS
    assert options.left_out == ("circles/notes.txt",)
    summary = json.loads((run / "summary.json").read_text())
    assert summary["classes"] == list(KINDS)
    assert np.sum(summary["confusion"]) == summary["test_images"]


def test_what_streams_is_what_lives_on_the_device(pictures, run, tmp_path, capsys):
    streamed = tmp_path / "streamed"
    code = train.main(arguments(pictures, streamed, "--segment", "2", "--resident-megabytes", "0"))
    assert code == 0
    assert "1 file in" in (said := capsys.readouterr().err)
    assert said.endswith("cannot be read and is left out: circles/notes.txt.\n")
    assert runs.stored_options(streamed).pictures.streamed
    for one, other in zip(*(runs.read_metrics(each) for each in (run, streamed)), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
        assert one["validation_accuracy"] == other["validation_accuracy"]
    for folder in (run, streamed):
        before = json.loads((folder / "summary.json").read_text())
        assert evaluate.main([str(folder)]) == 0
        after = json.loads((folder / "evaluation/summary.json").read_text())
        assert after["confusion"] == before["confusion"]


def test_classes_go_by_name(pictures, run, tmp_path, capsys):
    paths = [tmp_path / name for name in ("even.png", "long.webp")]
    Image.new("RGB", (5, 5), "red").save(paths[0])  # what a class may look like
    draw(1, (300, 20)).save(paths[1])
    assert predict.main([*map(str, paths), "--run", str(run), "--top", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [sorted(re.findall(r"(\w+) [\d.]+ %", line)) for line in lines] == [list(KINDS)] * 2
    assert inspect.main([str(run), "--output", str(tmp_path / "out")]) == 0
    report = (tmp_path / "out/report.html").read_text()
    assert "mlp on folder" in report
    assert any(f"class {name}" in report for name in KINDS)


def test_another_folder_is_judged_whole(run, tmp_path, capsys):
    other = fill(tmp_path / "others", 9)
    assert evaluate.main([str(run), "--data-dir", str(other)]) == 0
    assert json.loads((run / "evaluation/summary.json").read_text())["test_images"] == 9
    wrong = fill(tmp_path / "wrong", 6, names=("a", "b", "circles"))
    said = told(2, evaluate.main, [run, "--data-dir", wrong], capsys)
    assert said == (
        f"{wrong} must hold the classes of the run, circles, squares, stripes, got a, b, circles."
    )


def test_a_network_for_grey_images_gets_them(pictures, tmp_path):
    given = arguments(pictures, tmp_path / "run", "--model", "conv-dense", "--epochs", "1")
    given += ["--model", "lenet5", "--image-size", "32", "--train-images", "48"]
    assert train.main(given) == 0
    assert runs.stored_options(tmp_path / "run").pictures.mean.__len__() == 1


def test_smoke_needs_no_folder(tmp_path):
    given = ["--dataset", "folder", "--model", "mlp", "--smoke", "--run-dir", str(tmp_path / "run")]
    assert train.main(given) == 0
    assert evaluate.main([str(tmp_path / "run")]) == 0


# Sides


def names_of(found):
    return {side: set(getattr(found, side).names) for side in own.SPLITS}


def test_a_picture_stays_on_its_side(pictures):
    options = Pictures(validation_share=0.25, test_share=0.25)
    before = names_of(own.find(pictures, options))
    sizes = [len(before[side]) for side in own.SPLITS]
    assert sum(sizes) == 201
    assert all(
        abs(size - share * 201) < 25 for size, share in zip(sizes, (0.5, 0.25, 0.25), strict=True)
    )
    extra = pictures / "circles" / "deeper" / "new.png"
    extra.parent.mkdir()
    draw(999).save(extra)
    try:
        after = names_of(own.find(pictures, options))
    finally:
        shutil.rmtree(extra.parent)
    assert all(before[side] == after[side] - {"circles/deeper/new.png"} for side in own.SPLITS)
    other = names_of(own.find(pictures, Pictures(split_seed=1)))
    assert other["test"] != names_of(own.find(pictures, Pictures()))["test"]


def test_equal_files_stay_together(tmp_path):
    folder = fill(tmp_path, 60)
    originals = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in originals:
        for copy in "abc":
            shutil.copy(path, path.with_name(f"{copy}-{path.name}"))
    found = names_of(own.find(folder, Pictures()))
    assert 0 < len(found["test"]) < 240
    for names in found.values():
        contents = [(folder / name).read_bytes() for name in names]
        assert all(contents.count(content) == 4 for content in contents)


def test_folders_that_are_split_stay_so(tmp_path):
    for side, count in (("train", 30), ("validation", 6), ("test", 9)):
        fill(tmp_path / side, count)
    found = own.find(tmp_path, Pictures())
    assert found.classes == KINDS
    assert [len(getattr(found, side).names) for side in own.SPLITS] == [30, 6, 9]
    np.testing.assert_array_equal(np.bincount(found.test.labels), [3, 3, 3])
    shutil.rmtree(tmp_path / "validation")  # what is not there is taken from train
    found = own.find(tmp_path, Pictures(validation_share=0.3))
    train_count, held_out, test_count = (len(getattr(found, side).names) for side in own.SPLITS)
    assert (train_count + held_out, test_count) == (30, 9)
    assert 0 < held_out < 30
    assert all(name.startswith("train/") for name in found.validation.names)


# What is wrong


def test_damaged_pictures_are_left_out_and_none_at_all_is_fatal(tmp_path, capsys):
    folder = fill(tmp_path / "pictures", 90)
    broken = [f"{name}/{number}.png" for number, name in enumerate(KINDS)] + ["stripes/2b.png"]
    for name in broken:
        (folder / name).write_bytes((folder / "squares/4.webp").read_bytes()[:40])
    assert train.main(arguments(folder, tmp_path / "run")) == 0
    said = capsys.readouterr().err.strip()
    listed = ", ".join(sorted(broken))
    assert said == f"{len(broken)} files in {folder} cannot be read and are left out: {listed}."
    for path in folder.glob("*/*"):
        path.write_text("nothing")
    said = told(2, train.main, arguments(folder, tmp_path / "other"), capsys)
    assert said.startswith(f"{folder} must hold pictures, got 93 files of which none can be read: ")
    assert not (tmp_path / "other").exists()


def test_other_pictures_are_not_gone_on_with(pictures, run, tmp_path, capsys):
    moved = tmp_path / "moved"
    shutil.copytree(pictures, moved)
    shutil.copytree(run, tmp_path / "run")
    given = ["--resume", tmp_path / "run", "--data-dir", moved, "--checkpoint", "2"]
    assert train.main([str(each) for each in given]) == 0
    (moved / "circles/0.png").unlink()
    assert told(2, train.main, given, capsys) == (
        f"{moved} must hold the pictures that the run began with, got others: their names or sizes "
        "have changed."
    )


def layout(folder, *paths):
    for path in paths:
        (folder / path).mkdir(parents=True)
    return folder


WRONG = {
    "no folder": (lambda t: t / "none", "none cannot be read: No such file or directory."),
    "one class": (lambda t: layout(t, "a"), "a folder for each of two classes at least, got a."),
    "no class": (lambda t: t, "a folder for each of two classes at least, got none."),
    "no pictures": (lambda t: layout(t, "a", "b"), "must hold pictures, got 0 files of which none"),
    "odd folders": (
        lambda t: layout(t, "train/a", "train/b", "val/a"),
        "or train, validation and test over them, got train beside val.",
    ),
    "odd classes": (
        lambda t: layout(t, "train/a", "train/b", "test/c"),
        "test must hold no other classes than train, got c.",
    ),
    "a class without pictures": (
        lambda t: layout(fill(t, 60), "zebras"),
        "must hold pictures of every class to train on, got none of zebras:",
    ),
    "nothing to test on": (
        lambda t: layout(fill(t / "train", 60), "../test").parent,
        "must hold pictures to test on, got none:",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_folder_that_will_not_do_gets_a_sentence(what, tmp_path, capsys):
    make, sentence = WRONG[what]
    folder = make(tmp_path)
    said = told(2, train.main, arguments(folder, tmp_path / "run"), capsys)
    assert sentence in said
    assert str(folder) in said


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--image-size", "0"], "--image-size must be at least 1, got 0."),
        (["--validation-share", "0.5", "--test-share", "0.5"], "must leave some to train on, got"),
        (["--test-share", "1.5"], "--test-share must be from 0 to less than 1, got 1.5."),
        (["--batch-size", "999"], "--batch-size must be at most the 144 training images, got 999."),
        (["--train-images", "999"], "--train-images must be at most the 144 that are not held out"),
        (["--validation", "7"], "--validation is for --dataset mnist5k, mnist, fashion_mnist, "),
        (["--model", "vgg11", "--image-size", "8"], "--model vgg11 does not take images of 8 × 8"),
        (
            ["--schedule", "plateau", "--validation-share", "0"],
            "the folder must hold pictures to validate on, got none.",
        ),
    ],
)
def test_options_that_do_not_fit_get_a_sentence(pictures, more, sentence, tmp_path, capsys):
    given = arguments(pictures, tmp_path / "run", *more)
    capsys.readouterr()
    assert train.main(given) == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_a_folder_needs_a_place_and_a_place_a_folder(tmp_path, capsys):
    said = told(2, train.main, ["--dataset", "folder"], capsys)
    assert said == "--dataset folder needs --data-dir beside it, the folder of the pictures."
    said = told(2, train.main, ["--image-size", "20"], capsys)
    assert said == "--image-size is for --dataset folder only."


@pytest.mark.parametrize(
    "change", [{"classes": []}, {"std": [0]}, {"mean": [0.5]}, {"image_size": None}]
)
def test_a_run_that_does_not_say_its_pictures_is_refused(run, change, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run/config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "pictures": {**config["pictures"], **change}}))
    said = told(2, evaluate.main, [tmp_path / "run"], capsys)
    assert said == (
        f"{path} holds no run of this version: it does not say the classes, the size and the "
        "pixels of its pictures."
    )


def test_a_picture_that_is_gone_in_between_is_named(pictures, run, tmp_path, capsys):
    moved = tmp_path / "moved"
    shutil.copytree(pictures, moved)
    options = runs.stored_options(run)
    (name, *_) = own.find(moved, options.pictures).test.names
    size = (moved / name).stat().st_size
    (moved / name).write_bytes(bytes(size))
    said = told(2, evaluate.main, [run, "--data-dir", moved], capsys)
    assert said == f"{moved / name} is no image that can be read."
    with pytest.raises(UserError, match="is no image"):
        own.decoded(own.find(moved, options.pictures).test, (8, 8, 3))
