"""The house keeps its order: the import contract breaks when it should, the daemon stays light."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
# urllib3 costs a tenth of a second, and only who tells somebody needs it
HEAVY = ("rattler", "conda_lock", "conda_pack", "apprise", "urllib3")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    if not program.exists():
        pytest.skip("import-linter is not installed: `pip install -e '.[lint]'`")
    return subprocess.run(
        (program, "--config", folder / "pyproject.toml", "--no-cache"),
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(TOP / "envwatch", tmp_path / "envwatch")
    shutil.copy(TOP / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("plan.py", "import envwatch.catalog", "floors"),
        ("worker/jobs.py", "import rattler", "heavy"),
        ("install/conda.py", "import envwatch.store", "state"),
        ("web/pages.py", "import envwatch.git", "web"),
        ("notifiers/webhook.py", "import envwatch.notifiers.command", "notifiers"),
        ("telling.py", "import sqlalchemy", "effects"),
        ("spec.py", "import subprocess", "effects"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(
    copy: Path, module: str, line: str, contract: str
) -> None:
    path = copy / "envwatch" / module
    path.write_text(path.read_text().replace("from __future__", f"{line}\nfrom __future__", 1))
    # the line above a __future__ import is no python, but import-linter must parse it
    text = path.read_text().replace("from __future__ import annotations\n", "", 1)
    path.write_text(text)
    done = lint(copy)
    assert done.returncode != 0
    broken = [x for x in done.stdout.splitlines() if x.endswith("BROKEN")]
    assert any(contract in x for x in broken), done.stdout


def test_a_module_without_a_floor_breaks_the_contract(copy: Path) -> None:
    (copy / "envwatch/stray.py").write_text('"""Belongs nowhere."""\n')
    done = lint(copy)
    assert done.returncode != 0
    assert "stray" in done.stdout


@pytest.mark.parametrize("module", ["envwatch.daemon", "envwatch.demo", "envwatch.cli"])
def test_the_daemon_and_the_command_line_import_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_module_is_long_without_its_reason() -> None:
    long = [p for p in (TOP / "envwatch").rglob("*.py") if len(p.read_text().splitlines()) > 400]
    assert [p.name for p in long if "on purpose" not in p.read_text()[:600]] == []
