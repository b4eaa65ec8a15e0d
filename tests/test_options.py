"""What the suite's own options do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

WANTING = 'pytest.importorskip("no_such_package", reason="it is not installed (extra: peers)")'
FILES = {
    "test_module.py": f"import pytest\n{WANTING}\n",
    "test_each.py": "import pytest\n"
    f"def test_extra():\n    {WANTING}\n"
    "def test_other():\n    pytest.skip('for another reason')\n",
}


@pytest.mark.parametrize(
    ("options", "expected"), [([], "3 skipped"), (["--all-extras"], "1 failed, 1 skipped, 1 error")]
)
def test_with_all_extras_a_skip_for_want_of_one_is_a_failure(options, expected, tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    command = "-m", "pytest", "-p", "conftest", "-c", os.devnull, "--continue-on-collection-errors"
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parent),
        "PYTEST_ADDOPTS": "",
        "PYTEST_XDIST_WORKER": "gw0",  # flags of XLA need not be tried again
    }
    run = subprocess.run(
        [sys.executable, *command, *options, *FILES],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert f"= {expected} in " in run.stdout.splitlines()[-1], run.stdout
