"""Every preset in smoke form, and what the command line makes of presets."""

import dataclasses
import inspect
import re
import runpy
from functools import partial

import pytest

from experiments import runs, train
from experiments.command_line.options import TrainOptions, UserError, values
from experiments.command_line.presets import PRESETS, listing
from experiments.command_line.schema import from_json
from experiments.runs import saved
from experiments.training import networks
from jaxcnn import models

# Every day the one with the most parts: a whitened kernel, an optimiser of its own, Lookahead, six
# views of each test image.
EVERY_DAY = ("airbench94",)


@pytest.mark.parametrize(
    "name",
    [n if n in EVERY_DAY else pytest.param(n, marks=pytest.mark.full) for n in PRESETS],
)
def test_every_preset_runs_in_smoke_form(name, tmp_path, capsys):
    folder = tmp_path / "run"
    code = train.main([name, "--smoke", "--run-dir", str(folder)])
    output, errors = capsys.readouterr()
    assert code == 0, errors
    assert output.splitlines()[-1].startswith("test accuracy 0.") or "1.0000" in output
    stored = runs.stored_options(folder)
    assert stored.smoke
    assert stored.model == PRESETS[name].options.model
    assert (folder / "curves.png").exists()


# The one that makes no logits of a picture.
NO_CLASSIFIER = {models.ray_cnn}


def test_every_network_of_the_library_can_be_trained():
    public = {model for model in vars(models).values() if inspect.isfunction(model)}
    calls = set()
    with pytest.MonkeyPatch.context() as patch:
        for model in public:
            note = partial(lambda model, *_, **__: calls.add(model), model)
            patch.setattr(models, model.__name__, note)
        # A copy of the module, which finds the notes; reloaded, it would be another for all tests.
        for network in runpy.run_path(networks.__file__)["NETWORKS"].values():
            network.build(classes=5)
    assert calls == public - NO_CLASSIFIER


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("resnet", "--model must be one of lenet5, .*, or module:function, got 'resnet'."),
        ("no_such:net", "must name .*: no_such cannot be .ModuleNotFoundError: No module named"),
        ("math:net", "must name a function of .*: math has no function net."),
        ("math:pi", "must name a function of .*: math has no function pi."),
        ("math:sqrt", r"sqrt\(classes=10\) fails \(TypeError: math.sqrt.. takes no keyword"),
        ("jaxcnn.layers:Flatten", r"fails .TypeError: .* unexpected keyword argument 'classes'"),
        ("jaxcnn.models:alexnet", r"of 28 × 28 × 1: ValueError: max_pool: .*, in layer pool2\.\n"),
        ("builtins:dict", r"dict\(classes=10\) is no layer of jaxcnn, but {'classes': 10}."),
    ],
)
def test_what_is_no_network_gets_a_sentence(model, sentence, tmp_path, capsys):
    assert train.main(["--model", model, "--run-dir", str(tmp_path / "run")]) == 2
    assert re.search(sentence, capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_a_network_of_ones_own_is_trained_under_its_name(tmp_path, monkeypatch, capsys):
    (tmp_path / "nets_of_mine.py").write_text(
        "from jaxcnn import layers\n\n"
        "def tiny(classes):\n"
        "    return layers.serial(layers.Flatten(), layers.Dense(classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert train.main(["--model", "nets_of_mine:tiny", "--smoke"]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert "-tiny-mnist5k-" in folder.name
    assert saved.read(folder).params["dense1"]["weight"].shape == (784, 10)
    assert capsys.readouterr().out.startswith("nets_of_mine:tiny (7,850 parameters) on mnist5k")


def test_a_preset_is_other_defaults_for_the_same_options():
    options = train.parse(["resnet20", "--batch-size", "64", "--rotation", "5"])
    expected = values(PRESETS["resnet20"].options) | {"batch_size": 64, "rotation": 5.0}
    assert values(options) == expected
    assert train.parse([]) == TrainOptions()


def test_an_unknown_preset_is_named_beside_those_that_there_are(capsys):
    with pytest.raises(UserError, match=r"one of lenet5-mnist5k, .*, got 'resnet'"):
        train.parse(["resnet"])
    assert train.main(["resnet"]) == 2


def test_help_lists_presets_and_options(capsys):
    with pytest.raises(SystemExit) as caught:
        train.main(["--help"])
    assert caught.value.code == 0
    output = capsys.readouterr().out
    for word in (*PRESETS, "--label-smoothing", "--cutmix", "--devices"):
        assert word in output


def test_published_schedules_have_the_published_steps():
    resnet = PRESETS["resnet20"].options
    assert round(resnet.epochs * (50_000 // resnet.batch_size)) == 64_000
    assert listing().count("\n") == len(PRESETS)


def test_options_survive_json(tmp_path):
    for preset in PRESETS.values():
        options = dataclasses.replace(preset.options, run_dir=tmp_path)
        runs.write_json(tmp_path / "config.json", dataclasses.asdict(options))
        assert runs.stored_options(tmp_path) == options
    with pytest.raises(UserError, match="the options colour belong to another version"):
        from_json({**dataclasses.asdict(TrainOptions()), "colour": 3})
