"""import-linter holds the stairs of the house, and would notice a step in the wrong direction."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
LINT = [str(pathlib.Path(sys.executable).parent / "lint-imports"), "--no-cache"]


def lint(folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(LINT, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)


def test_imports_go_down_the_stairs_only() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("services/people.py", "import flask", "The inner rooms know nothing"),
        ("utils/text.py", "from server.services import access", "The stairs"),
        ("resources/holds.py", "from server.tables.booking import Appointment", "Tables are reached through models"),
        ("services/access.py", "from server.services import audit", "Services form no circles"),
        ("attic/__init__.py", "", "The stairs"),
    ],
)
def test_a_step_in_the_wrong_direction_is_noticed(tmp_path: pathlib.Path, file: str, line: str, contract: str) -> None:
    shutil.copytree(
        ROOT / "server",
        tmp_path / "server",
        ignore=shutil.ignore_patterns("static", "frontdesk-demo", ".venv", "__pycache__"),
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    bad = tmp_path / "server" / file
    bad.parent.mkdir(exist_ok=True)
    bad.write_text(f"{bad.read_text() if bad.exists() else ''}\n{line}\n")
    done = lint(tmp_path)
    assert done.returncode == 1
    assert any(contract in row and "BROKEN" in row for row in done.stdout.splitlines()), done.stdout
