"""Every preset in smoke form, and what the command line makes of presets."""

import dataclasses
import typing

import pytest

from experiments import runs, train
from experiments.command_line.options import Model, TrainOptions, UserError, values
from experiments.command_line.presets import PRESETS, listing
from experiments.command_line.schema import from_json
from experiments.training.networks import NETWORKS

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


def test_networks_and_options_name_the_same_models():
    assert set(typing.get_args(Model)) == set(NETWORKS)


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
