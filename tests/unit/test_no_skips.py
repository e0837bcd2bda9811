"""Under CI nothing is skipped in silence."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).parents[1] / "conftest.py"

TESTS = {
    "test_marked.py": "import pytest\n@pytest.mark.skip(reason='no time')\ndef test_marked(): pass\n",
    "test_called.py": "import pytest\ndef test_called(): pytest.skip('no luck')\n",
    "test_module.py": "import pytest\npytest.importorskip('no_such_module')\ndef test_module(): pass\n",
    "test_known.py": "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_known(): assert False\n",
}


def run_tests(folder: Path, **environment: str) -> str:
    """The closing line of a pytest that runs TESTS with our conftest and no plugin."""
    shutil.copy(CONFTEST, folder)
    for name, text in TESTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        os.devnull,
        "--rootdir",
        str(folder),
        "--continue-on-collection-errors",
    ]
    outside = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("PYTEST_")}
    outside["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    ran = subprocess.run(command, env=outside | environment, cwd=folder, capture_output=True, text=True, check=False)
    return ran.stdout.splitlines()[-1]


def test_a_skip_is_a_skip_at_a_desk(tmp_path: Path) -> None:
    assert " 3 skipped, 1 xfailed in " in run_tests(tmp_path)


def test_a_skip_is_a_failure_under_ci(tmp_path: Path) -> None:
    assert " 1 failed, 1 xfailed, 2 errors in " in run_tests(tmp_path, CI="true")
