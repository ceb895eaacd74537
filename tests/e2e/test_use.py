"""What people do with a published environment: run it, open its kernel, take it elsewhere."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from jupyter_client.manager import start_new_kernel
from rattling import install_list
from repos import GitRepo
from running import DEMO, Running, free_port, text
from waiting import wait_for

FILE = "demo/environment.yml"
CONTENT = text("python", "ipykernel", "rich", "markupsafe", extra="variables: {GREETING: hé'llo}\n")
USER = 65534


@pytest.fixture
def published(running: Running, repo: GitRepo) -> Running:
    repo.commit({FILE: CONTENT})
    running.start()
    running.wait_current(1)
    return running


def run(command: tuple[object, ...], **more: object) -> str:
    done = subprocess.run(
        [str(c) for c in command],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        **more,  # type: ignore[call-overload]  # subprocess has too many forms
    )
    assert done.returncode == 0, done.stderr
    return str(done.stdout.strip())


def test_another_user_runs_it_and_cannot_change_it(published: Running) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    published.folder.chmod(0o755)
    for parent in published.folder.parents:
        if parent.owner() == "root" and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    python = published.link() / "bin/python"
    shown = run((python, "-c", "import rich, markupsafe; print(1)"), user=USER, group=USER)
    assert shown == "1"
    code = "import rich; open(rich.__file__, 'a')"
    denied = subprocess.run((python, "-c", code), user=USER, capture_output=True, check=False)
    assert b"PermissionError" in denied.stderr


@pytest.fixture
def kernel_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))


@pytest.mark.peer
@pytest.mark.usefixtures("kernel_home")
def test_its_kernel_starts_knows_its_variables_and_survives_a_switch(
    published: Running, repo: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = published.wait_current(1)
    kernel = published.root / "jupyter/analyst/kernels/analyst-demo/kernel.json"
    wait_for(kernel.exists)
    monkeypatch.setenv("JUPYTER_PATH", str(published.root / "jupyter/analyst"))
    manager, client = start_new_kernel(kernel_name="analyst-demo")
    try:
        assert evaluate(client, "__import__('sys').prefix") == repr(str(prefix))
        assert evaluate(client, "__import__('os').environ['GREETING']") == '"hé\'llo"'
        repo.commit({FILE: text("python", "ipykernel")})
        published.wait_current(2)
        assert evaluate(client, "__import__('rich').__name__") == "'rich'", "a late import"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def evaluate(client: object, expression: str) -> str:
    reply = client.execute_interactive(  # type: ignore[attr-defined]  # it ships no types
        "", user_expressions={"x": expression}, timeout=60, store_history=False
    )
    return str(reply["content"]["user_expressions"]["x"]["data"]["text/plain"])


def archive(running: Running, name: str, folder: Path) -> Path:
    def fetched() -> bytes | None:
        status, body = running.get(f"/analyst/demo/1/{name}")
        return body if status == 200 else None

    running.get("/analyst/demo/1/environment.tar.zst")
    path = folder / name
    path.write_bytes(wait_for(fetched, 120))
    return path


def test_its_archives_run_elsewhere(published: Running, tmp_path: Path) -> None:
    target = tmp_path / "unpacked"
    packed = archive(published, "environment.tar.zst", tmp_path)
    with (
        packed.open("rb") as raw,
        zstandard.ZstdDecompressor().stream_reader(raw) as stream,
        tarfile.open(fileobj=stream, mode="r|") as tar,
    ):
        # not yet there in Python 3.11.2
        tar.extraction_filter = getattr(tarfile, "tar_filter", None)
        tar.extractall(target)  # noqa: S202 — it was made just now
    published.stop()
    published.root.rename(tmp_path / "gone")
    code = "import markupsafe._speedups, os, sys; print(os.environ['GREETING'], sys.prefix)"
    use = f'conda-unpack && python -c "{code}" && jupyter-kernel --version'
    script = f". {target}/bin/activate && {use}"
    shown = run(("bash", "-c", script), env={"PATH": "/usr/bin:/bin"})
    assert shown.splitlines()[0] == f"hé'llo {target}"


def test_its_sums_are_those_of_its_files(published: Running) -> None:
    wait_for(lambda: sums_there(published), 30)
    sums = published.get("/analyst/demo/1/SHA256SUMS")[1].decode()
    for line in sums.splitlines():
        digest, name = line.split("  ")
        path = name.removeprefix("analyst-demo-1.")
        body = published.get(f"/analyst/demo/1/{path}")[1]
        assert hashlib.sha256(body).hexdigest() == digest, name


def sums_there(running: Running) -> bool:
    try:
        return running.get("/analyst/demo/1/SHA256SUMS")[0] == 200
    except OSError:
        return False


def test_the_same_lock_gives_the_same_environment_on_another_root(
    published: Running, make_running: Callable[..., Running], repo: GitRepo, tmp_path: Path
) -> None:
    lock = (published.store.record(1) / "conda-lock.yml").read_text()
    repo.commit({"demo/conda-lock.yml": lock})
    other = Running(tmp_path / "elsewhere", published.channel, published.sources)
    other.folder.mkdir()
    other.port = free_port()
    other.start()
    try:
        theirs = other.wait_current(1)
    finally:
        other.stop()
    ours = published.wait_current(1)
    assert fingerprint(ours) == fingerprint(theirs)
    assert not json.loads((other.store.record(1) / "result.json").read_text())["solved"]


def test_its_explicit_list_gives_the_same_environment(published: Running, tmp_path: Path) -> None:
    wait_for(lambda: sums_there(published), 30)
    listed = tmp_path / "explicit.txt"
    listed.write_bytes(published.get("/analyst/demo/1/explicit.txt")[1])
    theirs = install_list(listed, tmp_path / "theirs", tmp_path / "cache")
    ours = published.wait_current(1)
    made_by_us = "etc/envwatch/"
    kept = {
        name: digest
        for name, digest in fingerprint(ours).items()
        if "/__pycache__/" not in f"/{name}" and not name.startswith(made_by_us)
    }
    without = {n: d for n, d in fingerprint(theirs).items() if "/__pycache__/" not in f"/{n}"}
    assert without == kept


def fingerprint(prefix: Path) -> dict[str, str]:
    """Every path with its bytes, the prefix text masked, conda-meta apart."""
    found = {}
    for path in sorted(prefix.rglob("*")):
        name = str(path.relative_to(prefix))
        if name.startswith("conda-meta") or path.is_dir():
            continue
        data = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        masked = data.replace(os.fsencode(prefix), b"PREFIX")
        found[name] = hashlib.sha256(masked).hexdigest()
    assert len(found) > 100
    assert DEMO.label not in found
    return found
