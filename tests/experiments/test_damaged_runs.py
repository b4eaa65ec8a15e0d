"""Folders of runs as failures, editors and other versions leave them: one sentence, never more."""

import shutil

import jax
import pytest
from damages import (
    ARRAYS,
    CHECKPOINTS,
    FILES,
    METADATA,
    OPTIONS,
    SHAPES,
    SIZES,
    TEXTS,
    every,
    saying,
    set_arrays,
    set_option,
    set_text,
)
from PIL import Image
from small_runs import small_run

from experiments import evaluate, inspect, predict, runs, train
from experiments.runs import saved

pytestmark = pytest.mark.usefixtures("no_pictures")


class Passed(BaseException):
    """What was read is as it should be; the work that would follow is tested elsewhere."""


def until_passed(work):
    def stopped(*arguments, **more):
        work(*arguments, **more)
        raise Passed

    return stopped


@pytest.fixture(scope="module")
def finished(no_pictures, tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("finished") / "run", "--epochs", "2")


@pytest.fixture
def folder(finished, tmp_path):
    Image.new("L", (28, 28)).save(tmp_path / "image.png")
    return shutil.copytree(finished, tmp_path / "run")


def readers(folder):
    return {
        "predict": (predict.main, [str(folder.parent / "image.png"), "--run", str(folder)]),
        "evaluate": (evaluate.main, [str(folder)]),
        "inspect": (inspect.main, [str(folder)]),
    }


def going_on(folder):
    return {"resume": (train.main, ["--resume", str(folder)])}


def told_by(programs, capsys):
    """What each of them says, which must be one sentence, with the exit code 2."""
    for main, arguments in programs.values():
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert said.endswith(".\n")
        assert said.count("\n") == 1
        yield said


@pytest.mark.parametrize(("option", "value", "told"), OPTIONS)
def test_an_option_that_means_nothing_here(option, value, told, folder, capsys):
    set_option(folder, option, value)
    programs = readers(folder)
    if "The parameters" not in told and "expected" not in told:
        programs |= going_on(folder)
    for said in told_by(programs, capsys):
        assert told in said


@pytest.mark.parametrize(("option", "value", "told"), SIZES)
def test_sizes_that_the_data_do_not_have(option, value, told, folder, capsys):
    set_option(folder, option, value)
    (said,) = told_by(going_on(folder), capsys)
    assert said == f"{folder}/config.json holds no run of this version: {told}\n"


@pytest.mark.parametrize("dataset", ["cifar10", "imagenet2012"])
def test_a_data_set_that_the_network_is_not_for(dataset, folder, capsys):
    set_option(folder, "model", "lenet5")
    set_option(folder, "dataset", dataset)
    for said in told_by(readers(folder) | going_on(folder), capsys):
        assert f"{folder}/config.json holds no run of this version: model lenet5 takes" in said
        assert f"images of 1 channel, those of {dataset} have 3." in said


@pytest.mark.parametrize(("content", "told"), TEXTS)
def test_a_config_that_is_none(content, told, folder, capsys):
    set_text(folder, content)
    for said in told_by(readers(folder) | going_on(folder), capsys):
        assert told in said


@pytest.mark.parametrize(
    ("change", "told"), [row[1:] for row in ARRAYS], ids=[r[0] for r in ARRAYS]
)
def test_parameters_that_are_not_the_network_s(change, told, folder, capsys):
    set_arrays(folder, change)
    for said in told_by(readers(folder), capsys):
        assert told in said


@pytest.mark.parametrize(("file", "harm", "told"), FILES)
def test_parameters_that_are_not_as_they_were_written(file, harm, told, folder, capsys):
    harm(folder / file)
    for said in told_by(readers(folder), capsys):
        assert told in said


@pytest.mark.parametrize(("file", "harm", "told"), CHECKPOINTS)
def test_a_damaged_checkpoint_is_left_out(file, harm, told, finished, folder, capsys):
    """Named, and the one before it taken; whoever asks for that one is told of the other."""
    last = folder / "checkpoints" / "6"
    harm(last / file)
    assert evaluate.main([str(folder), "--checkpoint", "last"]) == 2
    said = capsys.readouterr().err
    assert f"The checkpoint {last} is {told}" in said
    assert said.endswith("take it by --checkpoint 3.\n")
    assert train.main(["--resume", str(folder)]) == 0
    captured = capsys.readouterr()
    assert f"The checkpoint {last} is {told}" in captured.err
    assert captured.err.endswith("): it is left out.\n")
    assert "Going on after step 3." in captured.out
    one, other = (runs.load_parameters(each) for each in (finished, folder))
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), one, other))


@pytest.mark.parametrize("file", METADATA)
def test_metadata_of_another_shape(file, finished, folder, capsys, monkeypatch):
    """Whatever orbax makes of them when it looks through the folder."""
    monkeypatch.setattr(train, "begin", until_passed(train.begin))
    path = folder / "checkpoints" / "6" / file
    told = f"The checkpoint {folder / 'checkpoints' / '6'} is damaged (the file {file} is not as"
    for shape in SHAPES:
        shutil.copytree(finished, folder, dirs_exist_ok=True)
        saying(shape)(path)
        assert evaluate.main([str(folder), "--checkpoint", "last"]) == 2
        said = capsys.readouterr().err
        assert said.startswith(told)
        assert said.endswith("take it by --checkpoint 3.\n")
        with pytest.raises(Passed):
            train.main(["--resume", str(folder)])
        captured = capsys.readouterr()
        assert captured.err.startswith(told)
        assert captured.err.endswith("it was written): it is left out.\n")
        assert captured.err.count("\n") == 1
        assert "Going on after step 3." in captured.out


@pytest.mark.parametrize("file", ["_CHECKPOINT_METADATA", "_METADATA", "manifest.ocdbt"])
def test_metadata_of_parameters_of_another_shape(file, folder, capsys):
    for shape in SHAPES:
        saying(shape)(folder / "parameters" / file)
        for said in told_by(readers(folder), capsys):
            assert f"are damaged (the file {file} is not as it was written)." in said


def test_metadata_in_all_checkpoints_leave_none(folder, capsys):
    for path in (folder / "checkpoints").glob("*/_CHECKPOINT_METADATA"):
        saying("[1]")(path)
    best = {"best": (evaluate.main, [str(folder), "--checkpoint", "best"])}
    for said in told_by(best | going_on(folder), capsys):
        assert "is damaged (the file _CHECKPOINT_METADATA is not as it was written)" in said
        assert said.endswith("; there is no good one before it.\n")


def test_where_no_checkpoint_is_left_it_is_told_of_the_last(folder, capsys):
    for path in (folder / "checkpoints").glob("*/metrics/metrics"):
        path.write_bytes(b"")
    (said,) = told_by(going_on(folder), capsys)
    assert f"The checkpoint {folder / 'checkpoints' / '6'} is damaged" in said
    assert said.endswith("; there is no good one before it.\n")


def test_comparisons_that_cannot_be_read_are_forgotten(tmp_path):
    path = tmp_path / "gradients.jsonl"
    path.write_bytes(b'{"step": 0}\n{"step": null}\n[]\n\0\0\0\n\xff\n{"step": 1}\n{"step": 2}\n')
    runs.forget_comparisons(tmp_path, 2)
    assert path.read_bytes() == b'{"step": 0}\n{"step": 1}\n'


@pytest.mark.full
def test_nothing_that_happens_to_a_run_ends_in_a_traceback(finished, tmp_path, capsys, monkeypatch):
    """More than a thousand harms, to all four programs."""
    monkeypatch.setattr(saved, "read", until_passed(saved.read))
    monkeypatch.setattr(train, "begin", until_passed(train.begin))
    Image.new("L", (28, 28)).save(tmp_path / "image.png")
    folder = tmp_path / "run"
    for _, harm in every(finished):
        shutil.copytree(finished, folder)
        harm(folder)
        for name, program in (readers(folder) | going_on(folder)).items():
            try:
                (_,) = told_by({name: program}, capsys)
            except Passed:
                capsys.readouterr()
        shutil.rmtree(folder)
