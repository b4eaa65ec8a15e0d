"""Regions with CNN features, shrunken: scenes, proposals, warping, suppression, precision, all."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from docs import recording, tables
from experiments import data, rcnn
from experiments.plots import found
from experiments.systems import crowds, detector, proposals, regions
from experiments.systems.fit import Settings, Trained
from experiments.systems.scenes import intersection_over_union


@pytest.fixture(scope="module")
def digits():
    return data.load("mnist5k").test


def boxed(*boxes):
    return np.array(boxes, np.float32).reshape(-1, 4)


def detections(scene, label, score, *boxes):
    scene, label, score = (np.array(part) for part in (scene, label, score))
    return regions.Detections(np.arange(len(score)), scene, label, score, boxed(*boxes))


def crowd_of(labels, *boxes):
    canvas = np.zeros((crowds.SIDE, crowds.SIDE), np.float32)
    return crowds.Crowd(canvas, np.array(labels, np.int32), boxed(*boxes))


# Scenes -------------------------------------------------------------------------------------------


def test_scenes_are_what_they_are_said_to_be(digits):
    drawn = [crowds.draw_crowd(digits, 7, number) for number in range(40)]
    assert {len(crowd.labels) for crowd in drawn} == set(range(3, 9))
    boxes = np.concatenate([crowd.boxes for crowd in drawn])
    longer = (boxes[:, 2:] - boxes[:, :2]).max(1)
    assert boxes.min() >= 0
    assert boxes.max() <= crowds.SIDE
    assert longer.min() in range(14, 20)
    assert longer.max() in range(50, 57)
    assert set(np.concatenate([crowd.labels for crowd in drawn])) == set(range(10))
    overlap = [intersection_over_union(c.boxes[:, None], c.boxes[None]) for c in drawn]
    overlap = np.concatenate([(each - np.eye(len(each))).ravel() for each in overlap])
    assert 0.1 < overlap.max() <= 0.2


def test_a_scene_depends_on_seed_and_number_alone(digits):
    first = crowds.draw_crowd(digits, 3, 5)
    for part, again in zip(first, crowds.draw_crowd(digits, 3, 5), strict=True):
        np.testing.assert_array_equal(part, again)
    for seed, number in ((3, 6), (4, 5)):
        assert np.any(first.canvas != crowds.draw_crowd(digits, seed, number).canvas)


def test_digits_fill_their_boxes_over_noise_and_clutter_lies_between_them(digits, monkeypatch):
    monkeypatch.setattr(crowds, "NOISE", 0.0)
    outside = 0
    for number in range(10):
        crowd = crowds.draw_crowd(digits, 0, number)
        ground = crowd.canvas.copy()
        for x0, y0, x1, y1 in crowd.boxes.astype(int):
            inside = crowd.canvas[y0:y1, x0:x1]
            assert inside.max() > 0.25
            # A box ends where its digit's ink does.
            for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]):
                assert edge.max() > 0.04
            ground[y0:y1, x0:x1] = 0
        assert crowd.canvas.max() <= 1
        outside += (ground > 0.3).sum()
    assert outside > 500


# Proposals ----------------------------------------------------------------------------------------


def test_parts_of_one_thing_are_proposed_and_the_whole_of_them():
    """Two bars of different grey that touch, and a third far away."""
    canvas = np.zeros((60, 60), np.float32)
    canvas[10:20, 10:14], canvas[10:14, 14:30], canvas[40:52, 40:50] = 1.0, 0.5, 0.8
    boxes = {tuple(box) for box in proposals.propose(canvas).astype(int)}
    for wanted in ((10, 10, 14, 20), (14, 10, 30, 14), (10, 10, 30, 20), (40, 40, 50, 52)):
        best = intersection_over_union(boxed(wanted), boxed(*boxes)).max()
        assert best > 0.7, wanted
    assert not any(x0 < 30 and x1 > 40 for x0, _, x1, _ in boxes)  # no group across the ground


def segments_in_a_row(means, sizes):
    n = len(means)
    box = np.array([[10 * i, 0, 10 * i + 10, 10] for i in range(n)], float)
    touch = abs(np.arange(n)[:, None] - np.arange(n)) == 1
    return proposals.Segments(np.array(sizes, float), np.array(means, float), box, touch)


def test_the_most_alike_neighbours_join_first():
    row = segments_in_a_row([0.2, 0.9, 0.8, 0.3], [50.0] * 4)
    joined = proposals.grouped(row, (1.0, 0.0, 0.0), 1000)
    # 0.9 with 0.8; then their mean of 0.85 is nearer to 0.3 than to 0.2.
    np.testing.assert_array_equal(joined, [[10, 0, 30, 10], [10, 0, 40, 10], [0, 0, 40, 10]])
    row = segments_in_a_row([0.5] * 4, [90.0, 80.0, 30.0, 10.0])
    joined = proposals.grouped(row, (0.0, 1.0, 0.0), 1000)
    np.testing.assert_array_equal(joined, [[20, 0, 40, 10], [10, 0, 40, 10], [0, 0, 40, 10]])


def test_an_empty_scene_has_no_proposals_and_a_crowded_one_no_more_than_allowed(
    digits, monkeypatch
):
    assert proposals.propose(np.zeros((50, 50), np.float32)).shape == (0, 4)
    canvas = crowds.draw_crowd(digits, 0, 0).canvas
    everything = proposals.propose(canvas)
    assert len(np.unique(everything, axis=0)) == len(everything) > 20
    monkeypatch.setattr(proposals, "MOST", 20)
    np.testing.assert_array_equal(proposals.propose(canvas), everything[:20])


# Regions ------------------------------------------------------------------------------------------


def test_regions_know_their_scene_and_what_they_overlap():
    scenes = [
        crowd_of([3, 3, 1], [0, 0, 10, 10], [20, 0, 30, 10], [0, 20, 10, 30]),
        crowd_of([2], [0, 0, 4, 4]),
    ]
    made = regions.regions_of(
        scenes, [boxed([0, 0, 10, 5], [0, 20, 10, 30]), boxed([50, 50, 60, 60])], 10
    )
    assert made.scene.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(made.overlap[0], np.where(np.arange(10) == 3, 0.5, 0))
    np.testing.assert_array_equal(made.overlap[1], np.where(np.arange(10) == 1, 1, 0))
    assert not made.overlap[2].any()
    np.testing.assert_array_equal(made.nearest[:2], [[0, 0, 10, 10], [0, 20, 10, 30]])
    assert regions.recall(scenes, made, 0.5) == 2 / 4


def test_warping_shows_the_box_with_its_context_and_zeros_outside():
    rng = np.random.default_rng(0)
    canvas = rng.random((40, 40), np.float32)
    box = boxed([8, 4, 32, 28], [20, 20, 44, 44])
    none = np.zeros((2, 10), np.float32)
    made = regions.Regions(np.zeros(2, np.int32), box, none, box)
    for context, size in ((4, 24), (0, 32)):
        made = made._replace(box=np.concatenate([box[:, :2], box[:, :2] + size], 1))
        pixels = regions.warped([canvas], made, context)
        assert pixels.shape == (2, 32, 32, 1)
        # At this size a pixel of the region is one of the scene.
        padded = np.pad(canvas, 20)
        for (x, y), square in zip(box[:, :2].astype(int) - context + 20, pixels, strict=True):
            np.testing.assert_allclose(square[..., 0], padded[y : y + 32, x : x + 32], atol=1e-3)


def test_warping_stretches_and_takes_means():
    canvas = np.kron([[0.0, 1.0], [0.5, 0.25]], np.ones((64, 16))).astype(np.float32)
    box = boxed([0, 0, 32, 128])
    made = regions.Regions(np.zeros(1, np.int32), box, np.zeros((1, 10), np.float32), box)
    square = regions.warped([canvas], made, 0)[0, ..., 0]
    np.testing.assert_allclose(square[:14, :14], 0, atol=1e-3)
    np.testing.assert_allclose(square[:14, 18:], 1, atol=1e-3)
    np.testing.assert_allclose(square[18:, :14], 0.5, atol=1e-3)
    canvas[::2] = 1 - canvas[::2]
    square = regions.warped([canvas], made, 0)[0, ..., 0]
    np.testing.assert_allclose(square[2:-2], 0.5, atol=0.1)  # four rows in each pixel


def test_offsets_are_undone_by_moving_and_do_not_depend_on_scale():
    rng = np.random.default_rng(0)
    low, size = rng.random((2, 2, 5, 2))
    box, true = (np.concatenate([a, a + b + 0.1], 1) for a, b in zip(low, size, strict=True))
    np.testing.assert_allclose(regions.moved(box, regions.offsets(box, true)), true, rtol=1e-12)
    np.testing.assert_allclose(regions.offsets(3 * box, 3 * true), regions.offsets(box, true))
    by = regions.offsets(boxed([0, 0, 10, 20]), boxed([5, 0, 25, 20]))
    np.testing.assert_allclose(by, [[1.0, 0, np.log(2), 0]], atol=1e-6)


def test_ridge_has_no_slope_left_to_descend():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 2))
    exact = regions.ridge(x, x @ rng.standard_normal((3, 2)) + 4, 0.0)
    np.testing.assert_allclose(
        exact(x) - exact(0 * x), x @ (exact(np.eye(3)) - exact(np.zeros((1, 3))))
    )
    fitted = regions.ridge(x, y, 0.3)
    w = fitted(np.eye(3)) - fitted(np.zeros((1, 3)))
    error = fitted(x) - y
    np.testing.assert_allclose(error.sum(0), 0, atol=1e-12)
    np.testing.assert_allclose(x.T @ error + 0.3 * 20 * w, 0, atol=1e-12)


def test_of_overlapping_boxes_the_best_stays():
    box = boxed([0, 0, 10, 10], [1, 0, 11, 10], [40, 0, 50, 10], [2, 0, 12, 10], [8, 0, 18, 10])
    score = np.array([0.5, 0.9, 0.1, 0.8, 0.3])
    assert regions.suppressed(box, score, 0.3).tolist() == [1, 4, 2]
    assert regions.suppressed(box, score, 0.1).tolist() == [1, 2]
    assert regions.suppressed(boxed(), np.zeros(0), 0.3).tolist() == []


def test_detections_are_made_class_by_class_and_scene_by_scene():
    same = boxed([0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10])
    made = regions.Regions(np.array([0, 0, 2]), same, np.zeros((3, 2), np.float32), same)
    scores = np.array([[0.5, -2.0], [0.7, 0.2], [0.1, -0.5]])
    got = regions.detected(made, scores, least=-1.0, most=0.3)
    rows = sorted(zip(got.scene.tolist(), got.label.tolist(), got.row.tolist(), strict=True))
    assert rows == [(0, 0, 1), (0, 1, 1), (2, 0, 2), (2, 1, 2)]
    np.testing.assert_array_equal(got.score, scores[got.row, got.label])
    np.testing.assert_array_equal(got.box, same[got.row])


# Precision ----------------------------------------------------------------------------------------


def test_a_digit_is_found_once_by_the_surest_and_in_its_scene_and_class():
    scenes = [crowd_of([1, 2], [0, 0, 10, 10], [20, 0, 30, 10]), crowd_of([1], [0, 0, 10, 10])]
    boxes = ([0, 0, 10, 9], [0, 0, 10, 10], [20, 0, 30, 10], [20, 0, 30, 10], [0, 0, 10, 4])
    got = detections([0, 0, 0, 0, 1], [1, 1, 1, 2, 1], [0.4, 0.9, 0.8, 0.3, 0.7], *boxes)
    right, seen = regions.hits(got, scenes, 0.5)
    assert right.tolist() == [False, True, False, True, False]
    assert [own.tolist() for own in seen] == [[True, True], [False]]


def loop_area(score, right, count):
    """Steps of recall times the best precision from there on, as the definition says."""
    order = sorted(range(len(score)), key=lambda i: -score[i])
    points, hit = [], 0
    for rank, i in enumerate(order, 1):
        hit += right[i]
        points.append((hit / count, hit / rank))
    steps = sorted({r for r, _ in points if r > 0})
    return sum(
        (r - s) * max(p for q, p in points if q >= r)
        for s, r in zip([0, *steps], steps, strict=False)
    )


def test_the_area_is_that_of_a_loop_over_its_definition():
    rng = np.random.default_rng(0)
    for _ in range(20):
        score, right = rng.random(15), rng.random(15) < 0.5
        expected = loop_area(score, right, 12)
        np.testing.assert_allclose(regions.area(score, right, 12), expected, rtol=1e-12)
    # Right, wrong, right of three: 1/3 · 1 + 1/3 · 2/3.
    score = np.array([0.9, 0.5, 0.1])
    assert regions.area(score, np.array([True, False, True]), 3) == pytest.approx(5 / 9)
    assert regions.area(np.zeros(0), np.zeros(0, bool), 3) == 0
    assert np.isnan(regions.area(np.zeros(0), np.zeros(0, bool), 0))


def test_average_precisions_are_those_of_each_class():
    scenes = [crowd_of([0, 1], [0, 0, 10, 10], [20, 0, 30, 10])]
    got = detections([0, 0], [0, 1], [0.5, 0.6], [0, 0, 10, 10], [0, 0, 10, 10])
    np.testing.assert_array_equal(regions.average_precisions(got, scenes, 3), [1, 0, np.nan])


# What is learned ----------------------------------------------------------------------------------


def test_classifiers_tell_their_class_and_take_hard_negatives(monkeypatch):
    """Class 0 lies at (1, 0); what is like it but for a little is a hard negative, and rare."""
    rng = np.random.default_rng(0)
    middle = np.repeat([[1.0, 0.0], [0.0, 1.0], [0.7, 0.4]], [60, 2000, 40], axis=0)
    features = middle + 0.02 * rng.standard_normal(middle.shape)
    overlap = np.zeros((len(features), 2), np.float32)
    overlap[:60, 0] = 1
    overlap[60:120, 1] = 1
    monkeypatch.setattr(detector, "CLASSES", 2)
    nothing = boxed(*[[0, 0, 1, 1]] * len(features))
    made = regions.Regions(np.zeros(len(features), np.int32), nothing, overlap, nothing)
    monkeypatch.setattr(detector, "C", 1.0)
    monkeypatch.setattr(detector, "FEW", 0.0005)  # the first classifier sees hardly any of them
    scores = detector.classifiers(features, made, seed=0)(features)
    assert scores[:60, 0].min() > 0 > scores[60:, 0].max()


def test_probabilities_are_the_networks_own():
    net = detector.network(11)
    trained = Trained(*net.init(jax.random.key(0), (32, 32, 1)))
    pixels = np.random.default_rng(0).random((5, 32, 32, 1), np.float32)
    logits, _ = net.apply(*trained, detector.normalised(jnp.asarray(pixels)))
    features = detector.made_by(trained, pixels, "maps", "features")
    expected = jax.nn.softmax(logits)[:, :10]
    np.testing.assert_allclose(detector.probabilities(trained)(features), expected, rtol=1e-4)


def test_fine_tuning_starts_from_what_the_digits_taught(digits, monkeypatch):
    monkeypatch.setattr(detector, "PRETRAINING", Settings(1, 50, 1e-3))
    start = detector.pretrained(data.take(digits, np.arange(0, 1000, 10)), 0)
    pixels = np.random.default_rng(0).random((40, 32, 32, 1)).astype(np.float16)
    box = boxed(*[[0, 0, 1, 1]] * 40)
    overlap = np.zeros((40, 10), np.float32)
    made = regions.Regions(np.zeros(40, np.int32), box, overlap, box)
    tiny = detector.fine_tuned(start, made, pixels, Settings(1, 40, 1e-9), seed=1)
    nets = start, Trained(tiny.params, start.net_state)
    before, after = (detector.made_by(net, pixels, "maps", "features") for net in nets)
    np.testing.assert_allclose(before, after, atol=1e-4)
    assert before.std() > 0.1
    assert tiny.params["output"]["weight"].shape == (128, 11)


# All of it ----------------------------------------------------------------------------------------


def test_rcnn(capsys, tmp_path, monkeypatch, digits):
    few = data.Dataset(
        data.take(digits, np.arange(0, 1000, 5)), data.take(digits, np.arange(2, 1000, 5))
    )
    monkeypatch.setattr(data, "load", lambda *args: few)
    monkeypatch.setattr(detector, "PRETRAINING", Settings(2, 50, 4e-3))
    monkeypatch.setattr(found, "SHOWN", 2)
    monkeypatch.setattr(found, "SURE", -1.0)
    folder = tmp_path / "run"
    arguments = ["--scenes", "12", "--test-scenes", "4", "--epochs", "1", "--no-progress"]
    assert rcnn.main([*arguments, "--run-dir", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(folder / "rcnn.png")
    with Image.open(folder / "rcnn.png") as picture:
        pixels = np.asarray(picture.convert("RGB"), np.int32)
    assert (np.ptp(pixels, axis=-1) > 60).sum() > 50  # coloured boxes on grey scenes
    assert (pixels.max(-1) < 100).sum() > 10_000
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 1
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["recall"] > 0.8
    assert summary["proposals"]["most"] <= proposals.MOST
    # The whole, then each part left out in turn, each without and with regression.
    parts = [[r[name] for name in rcnn.Variant._fields] for r in summary["rows"]]
    expected = [[True] * 4] + [[i != j for j in range(4)] for i in range(4)]
    assert parts == [row for row in expected for _ in range(2)]
    assert [r["regression"] for r in summary["rows"]] == [False, True] * 5
    assert all(0 < r["mean_average_precision"] < 1 for r in summary["rows"])
    # Fewer boxes fit better.
    assert all(
        r["mean_average_precision_strict"] < r["mean_average_precision"] for r in summary["rows"]
    )
    # Every number of its record is in the summary.
    (about,) = (system for system in tables.record("systems") if system["name"] == "rcnn")
    for path in about["paths"].values():
        (number,) = recording._each(summary, path)
        assert number is None or number >= 0  # None: too few scenes for the digit
    assert {"proposals", "network, whole", "fine-tuning, without context"} <= set(
        summary["seconds"]
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--scenes", "0"], "--scenes must be at least 1, got 0."),
        (["--test-scenes", "-3"], "--test-scenes must be at least 1, got -3."),
        (["--scenes", "1"], "--scenes must be so many that every digit is in them, got 1 without"),
        (["--scenes", "9", "--batch-size", "5000"], "--batch-size must be at most the"),
    ],
)
def test_mistakes_are_told_in_one_sentence(arguments, sentence, capsys, tmp_path):
    assert rcnn.main([*arguments, "--run-dir", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.full
@pytest.mark.usefixtures("optimised")
def test_four_fifths_of_the_precision_are_reached(tmp_path):
    arguments = ["--no-progress", "--no-ablation", "--run-dir", str(tmp_path / "run")]
    assert rcnn.main(arguments) == 0
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["recall"] >= 0.95
    assert summary["proposals"]["most"] <= 300
    assert summary["rows"][1]["mean_average_precision"] >= 0.8
