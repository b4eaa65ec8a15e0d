"""How programs begin and end: alone in a folder, with nobody reading, by Ctrl-C, by other names."""

import errno
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from PIL import Image
from safetensors.numpy import load, load_file
from small_runs import SMALL, begin, small_run

from experiments import data, evaluate, inspect, predict, runs, train
from experiments.benchmarks.measure import environment
from experiments.command_line import program
from experiments.runs.folder import LOCK
from experiments.runs.lock import alone

ONE_EPOCH = [*SMALL, "--epochs", "1"]
TAKEN = "is taken: another process is training in this folder.\n"


pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture(scope="module")
def trained(no_pictures, tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("trained") / "run", "--epochs", "1")


def process(code, *arguments, **settings):
    return begin("-c", code, *arguments, text=False, **settings)


# Alone in a folder


def test_a_second_process_in_a_folder_is_refused_until_the_first_dies(trained, tmp_path, capsys):
    """By SIGKILL, which gives it no time to clean up; whoever only reads is not kept waiting."""
    folder, image = shutil.copytree(trained, tmp_path / "run"), tmp_path / "image.png"
    Image.linear_gradient("L").save(image)
    holding = """
import sys, time
from pathlib import Path
from experiments.runs.lock import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""
    with process(holding, folder) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        before = sorted(path.stat().st_mtime_ns for path in folder.rglob("*"))
        for arguments in (["--resume", str(folder)], [*ONE_EPOCH, "--run-dir", str(folder)]):
            assert train.main(arguments) == 2
            assert capsys.readouterr().err == f"The run folder {folder} {TAKEN}"
        assert sorted(path.stat().st_mtime_ns for path in folder.rglob("*")) == before
        assert predict.main([str(image), "--run", str(folder)]) == 0
        assert evaluate.main([str(folder), "--output", str(tmp_path / "out")]) == 0
        holder.kill()
        holder.communicate()
    assert train.main(["--resume", str(folder)]) == 0


def test_of_two_new_runs_at_once_one_begins(tmp_path, capsys):
    """The folder is locked before anything else is in it."""
    folder = tmp_path / "run"
    folder.mkdir()
    with alone(folder):
        assert train.main([*ONE_EPOCH, "--run-dir", str(folder)]) == 2
    assert capsys.readouterr().err.endswith(TAKEN)
    assert train.main([*ONE_EPOCH, "--run-dir", str(folder)]) == 0


def test_a_folder_of_other_things_is_left_as_it_was(tmp_path, capsys):
    (tmp_path / "thesis.tex").touch()
    assert train.main([*ONE_EPOCH, "--run-dir", str(tmp_path)]) == 2
    assert "is not empty: choose another" in capsys.readouterr().err
    assert not (tmp_path / LOCK).exists()


def test_where_files_cannot_be_locked_a_run_is_warned_and_goes_on(tmp_path, capsys, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    assert train.main([*ONE_EPOCH, "--run-dir", str(tmp_path / "run")]) == 0
    warning = capsys.readouterr().err
    assert warning.startswith(f"Warning: {tmp_path / 'run'} is where files cannot be locked")
    assert "No locks available" in warning


# Nobody reads; other bytes

PRINTING = "from experiments.command_line import program; program.run(lambda: print({}) or 0)"


FAULTS = """
import resource, numpy as np
from experiments.command_line import program
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(5_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
def main():
    faults()
    print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_a_program_has_what_it_freed_for_the_next_large_array(monkeypatch):
    """Pages that the system has to give anew, of ten arrays of 40 MB."""
    for name in ["GLIBC_TUNABLES", *(n for n in os.environ if n.startswith("MALLOC_"))]:
        monkeypatch.delenv(name, raising=False)
    usual = {name: v for name, v in os.environ.items() if not name.startswith("MALLOC_")}
    usual["GLIBC_TUNABLES"] = ""

    def counted(end: str, **more: str) -> int:
        command = [sys.executable, "-c", FAULTS + end]
        return int(subprocess.check_output(command, env={**usual, **more}, text=True))

    kept, freed = counted("program.run(main)"), counted("main()")
    assert 20 * kept < freed
    assert counted("program.run(main)", MALLOC_TRIM_THRESHOLD_="100000") > 20 * kept
    timed = environment(2, "cpu")  # of the benchmark's peers
    assert 20 * counted("main()", **{n: timed[n] for n in program.KEEPING}) < freed
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "100000")
    assert not program.keeping()


def test_a_program_whose_output_nobody_reads_ends_as_others_do():
    for printed in ("'x' * 10**6", "'x', flush=True", "'x'"):
        reading, writing = os.pipe()
        os.close(reading)  # before anything can be printed
        with process(PRINTING.format(printed), stdout=writing) as printer:
            os.close(writing)
            assert printer.stderr is not None
            assert printer.stderr.read() == b""
        assert printer.returncode == -signal.SIGPIPE


def test_output_that_cannot_be_written_is_told():
    with open("/dev/full", "wb") as full:
        printer = process(PRINTING.format("'x'"), stdout=full)
        _, errors = printer.communicate()
    assert printer.returncode == 1
    assert errors == b"The output cannot be written: No space left on device.\n"


def test_names_are_printed_as_the_bytes_that_they_are():
    with process(PRINTING.format(r"'\udcff.png'")) as printer:
        assert printer.communicate()[0] == b"\xff.png\n"


def test_a_run_folder_has_a_name_in_text(tmp_path, capfd):
    folder = f"{tmp_path}/\udcff"
    for arguments in (["--run-dir", folder], ["--resume", folder]):
        assert train.main([*ONE_EPOCH, *arguments]) == 2
        sentence = f"The run folder must have a name in UTF-8, got {tmp_path}/"
        assert capfd.readouterr().err.startswith(sentence)


def test_training_ends_where_its_output_is_no_longer_read(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(train, "describe", broken)
    with pytest.raises(BrokenPipeError):  # which `command` makes a SIGPIPE of
        train.main([*ONE_EPOCH, "--run-dir", str(tmp_path / "run")])


def test_a_report_can_name_what_is_no_text(run, tmp_path, monkeypatch):
    monkeypatch.setattr(inspect, "report", lambda *_: [])
    monkeypatch.setattr(inspect, "page", lambda *_: "of \udcff.png")
    assert inspect.main([str(run), "--index", "0", "--output", str(tmp_path)]) == 0
    assert (tmp_path / "report.html").read_text() == "of \\udcff.png"


# What is written


def safetensors(run, path, tmp_path):
    out = ["--output", str(tmp_path / "out")]
    return evaluate.main([str(run), "--safetensors", str(path), *out])


def test_safetensors_replace_files_and_nothing_else(trained, tmp_path, capsys):
    path, link, pipe = tmp_path / "file", tmp_path / "link", tmp_path / "pipe"
    path.write_bytes(b"before")
    link.symlink_to(path)
    with path.open("rb") as reader:
        assert safetensors(trained, link, tmp_path) == 0
        assert reader.read() == b"before", "what is read meanwhile must stay whole"
    assert link.is_symlink()
    assert load_file(path)["params/dense1/bias"].shape == (10,)
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as cat:
        assert safetensors(trained, pipe, tmp_path) == 0
        assert load(cat.communicate()[0]).keys() == load_file(path).keys()
    assert pipe.is_fifo()
    capsys.readouterr()
    assert safetensors(trained, tmp_path, tmp_path) == 2
    assert capsys.readouterr().err == f"{tmp_path} cannot be written: Is a directory.\n"
    assert safetensors(trained, tmp_path / "no" / "file", tmp_path) == 2
    assert capsys.readouterr().err.endswith("file cannot be written: No such file or directory.\n")


def test_a_file_that_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "file"
    path.write_bytes(b"before")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        runs.write_whole(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_is_judged_without_its_training_images(trained, monkeypatch, tmp_path, capsys):
    """Of which another data set may have fewer than a single batch of the run."""
    few = data.load("mnist5k")
    few = data.Dataset(data.Split(few.train.images[:10], few.train.labels[:10]), few.test)
    monkeypatch.setattr(data, "load", lambda *_: few)
    assert evaluate.main([str(trained), "--output", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("test accuracy ")


# Ctrl-C


def test_the_demo_ends_in_time_whatever_its_clients_hold_back(run):
    """A request of which the rest never comes, a connection kept open, an answer nobody reads."""
    code = (
        "import sys; from experiments import demo; from experiments.command_line import program; "
        "program.run(demo.main)"
    )
    head = b"POST /look HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\n{"
    get = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with process(code, run, "--port", "0") as demo:
        assert demo.stdout is not None
        address = demo.stdout.readline().decode()
        port = int(address.split(":")[2].split("/")[0])
        clients = [socket.create_connection(("localhost", port)) for _ in range(5)]
        try:
            for client, sent in zip(clients, (b"", b"POST /lo", head, get, 200 * get), strict=True):
                client.sendall(sent)
            time.sleep(0.3)
            begun = time.monotonic()
            demo.send_signal(signal.SIGINT)
            with suppress(ConnectionError):  # then Python ends, as fast as it can
                while True:
                    socket.create_connection(("localhost", port)).close()
                    time.sleep(0.01)
            taken = time.monotonic() - begun
            _, errors = demo.communicate(timeout=60)
        finally:
            for client in clients:
                client.close()
    assert demo.returncode == 0
    assert b"Traceback" not in errors, errors.decode()
    assert taken < 3
