"""Kernelspecs of published environments: what is written, what is refused, and that they start."""

from __future__ import annotations

import grp
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefix_helpers import SITE_PACKAGES, make_prefix

from envwatch.kernels import Folder, sync
from envwatch.model import EnvKey, Kernel
from envwatch.shell import PREFIX_MARK, VARIABLES_FILE, variables_script

KEY = EnvKey("analyst", "demo")
PYTHON = {
    "argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    "display_name": "Python 3 (ipykernel)",
    "language": "python",
    "metadata": {"debugger": True},
}
R = {
    "argv": ["R", "--slave", "--args", "{connection_file}"],
    "display_name": "R",
    "language": "R",
    "interrupt_mode": "message",
    "env": {"R_LIBS": "x"},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def prefix(root: Path) -> Path:
    path = root / "builds" / "7-abc"
    path.mkdir(parents=True)
    return path


def link_of(root: Path, key: EnvKey = KEY) -> Path:
    return root / "envs" / key.namespace / key.label


def bring(prefix: Path, name: str, spec: object) -> Path:
    """Put a kernelspec into a prefix, as a package does; its folder."""
    folder = prefix / "share/jupyter/kernels" / name
    folder.mkdir(parents=True, exist_ok=True)
    text = spec if isinstance(spec, str) else json.dumps(spec)
    (folder / "kernel.json").write_text(text)
    return folder


def publish(root: Path, prefix: Path, key: EnvKey = KEY) -> tuple[Kernel, ...]:
    url = f"https://env.example.org/{key}"
    return Folder(root).publish(key, prefix, link=link_of(root, key), url=url)


def published(root: Path, namespace: str = "analyst") -> dict[str, dict[str, object]]:
    files = (root / "jupyter" / namespace / "kernels").glob("*/kernel.json")
    return {f.parent.name: json.loads(f.read_text()) for f in sorted(files)}


def test_only_kernel_has_the_name_of_the_environment(root: Path, prefix: Path) -> None:
    bring(prefix, "python3", PYTHON)
    assert publish(root, prefix) == (Kernel("analyst-demo", "analyst-demo", "python"),)
    assert list(published(root)) == ["analyst-demo"]


def test_kernel_is_started_by_the_launcher_through_the_link(root: Path, prefix: Path) -> None:
    bring(prefix, "python3", PYTHON)
    publish(root, prefix)
    argv = published(root)["analyst-demo"]["argv"]
    assert argv == [f"{root}/jupyter/launch", str(link_of(root)), *PYTHON["argv"]]
    assert os.access(root / "jupyter" / "launch", os.X_OK)


def test_each_of_several_kernels_is_told_apart(root: Path, prefix: Path) -> None:
    bring(prefix, "python3", PYTHON)
    bring(prefix, "ir", R)
    names = {k.name: k.display_name for k in publish(root, prefix)}
    assert names == {
        "analyst-demo--ir": "analyst-demo (R)",
        "analyst-demo--python3": "analyst-demo (Python 3 (ipykernel))",
    }


def test_no_argument_names_the_prefix_of_the_day(root: Path, prefix: Path) -> None:
    folder = {"R": f"{prefix}/lib/R/bin/R", "start": "{resource_dir}/start.R"}
    bring(prefix, "ir", R | {"argv": [folder["R"], f"--cp={prefix}/a:{prefix}/b", folder["start"]]})
    publish(root, prefix)
    assert published(root)["analyst-demo"]["argv"][2:] == [
        f"{PREFIX_MARK}/lib/R/bin/R",
        f"--cp={PREFIX_MARK}/a:{PREFIX_MARK}/b",
        f"{PREFIX_MARK}/share/jupyter/kernels/ir/start.R",
    ]


def test_words_that_jupyter_needs_are_passed_on(root: Path, prefix: Path) -> None:
    bring(prefix, "ir", R | {"metadata": {"debugger": True}})
    publish(root, prefix)
    spec = published(root)["analyst-demo"]
    assert (spec["interrupt_mode"], spec["env"]) == ("message", {"R_LIBS": "x"})
    origin = {"namespace": "analyst", "environment": "demo"}
    origin["url"] = "https://env.example.org/analyst/demo"
    assert spec["metadata"] == {"debugger": True, "envwatch": origin}


def test_environment_without_a_kernel_gets_none(root: Path, prefix: Path) -> None:
    assert publish(root, prefix) == ()
    assert published(root) == {}


def test_kernels_that_a_new_prefix_lacks_are_taken_away(root: Path, prefix: Path) -> None:
    bring(prefix, "ir", R)
    bring(prefix, "python3", PYTHON)
    publish(root, prefix)
    newer = root / "builds" / "8-def"
    bring(newer, "python3", PYTHON)
    publish(root, newer)
    assert list(published(root)) == ["analyst-demo"]


def test_publishing_again_changes_nothing(root: Path, prefix: Path) -> None:
    bring(prefix, "python3", PYTHON)
    assert publish(root, prefix) == publish(root, prefix)
    assert len(list((root / "jupyter").rglob("*"))) == 5  # launch and three folders, one file


def test_withdrawn_kernels_are_gone_and_others_stay(root: Path, prefix: Path) -> None:
    bring(prefix, "ir", R)
    bring(prefix, "python3", PYTHON)
    other = EnvKey("analyst", "demo--x")
    publish(root, prefix)
    publish(root, prefix, other)
    Folder(root).withdraw(KEY)
    assert sorted(published(root)) == ["analyst-demo--x--ir", "analyst-demo--x--python3"]


def test_withdrawing_what_is_not_there_is_no_error(root: Path) -> None:
    Folder(root).withdraw(KEY)
    assert not root.exists()


def test_kernel_of_another_environment_is_not_overwritten(root: Path, prefix: Path) -> None:
    bring(prefix, "ir", R)
    publish(root, prefix, EnvKey("analyst", "demo--python3"))
    bring(prefix, "python3", PYTHON)
    assert [k.name for k in publish(root, prefix)] == ["analyst-demo--ir"]
    assert published(root)["analyst-demo--python3"]["language"] == "R"


def test_sync_leaves_only_what_is_wanted(root: Path, prefix: Path) -> None:
    bring(prefix, "python3", PYTHON)
    for key in (KEY, EnvKey("analyst", "old"), EnvKey("gone", "old")):
        publish(root, prefix, key)
    (root / "jupyter/analyst/kernels/half-made").mkdir()
    sync(root, {KEY})
    left = {p.name for p in (root / "jupyter").glob("*/kernels/*")}
    assert left == {"analyst-demo"}


def test_sync_of_a_root_without_kernels_is_no_error(root: Path) -> None:
    sync(root, set())
    assert not root.exists()


class TestLogos:
    def test_are_copied(self, root: Path, prefix: Path) -> None:
        folder = bring(prefix, "python3", PYTHON)
        for name in ("logo-64x64.png", "logo-svg.svg", "logo-a.exe", "notes.png"):
            (folder / name).write_bytes(b"picture")
        publish(root, prefix)
        copied = {p.name for p in (root / "jupyter/analyst/kernels/analyst-demo").iterdir()}
        assert copied == {"kernel.json", "logo-64x64.png", "logo-svg.svg"}

    def test_of_an_earlier_prefix_go(self, root: Path, prefix: Path) -> None:
        logo = bring(prefix, "python3", PYTHON) / "logo-64x64.png"
        logo.write_bytes(b"picture")
        publish(root, prefix)
        logo.unlink()
        publish(root, prefix)
        assert not list((root / "jupyter").rglob("*.png"))

    def test_that_are_too_large_are_left(self, root: Path, prefix: Path) -> None:
        (bring(prefix, "python3", PYTHON) / "logo-64x64.png").write_bytes(bytes(2**20 + 1))
        assert publish(root, prefix)
        assert not list((root / "jupyter").rglob("*.png"))

    def test_that_lead_out_of_the_prefix_are_left(self, root: Path, prefix: Path) -> None:
        secret = root / "secret"
        secret.write_text("secret")
        (bring(prefix, "python3", PYTHON) / "logo-64x64.png").symlink_to(secret)
        assert publish(root, prefix)
        assert not list((root / "jupyter").rglob("*.png"))


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        '{"argv": "python"}',
        '{"argv": []}',
        '{"argv": ["python", 1]}',
        '{"argv": ["python\\u0000"]}',
        json.dumps({"argv": ["x"] * 1000}),
        json.dumps({"argv": ["x" * 2**17]}),
    ],
)
def test_what_is_no_kernelspec_does_not_stop_the_others(
    root: Path, prefix: Path, spec: str
) -> None:
    bring(prefix, "broken", spec)
    bring(prefix, "python3", PYTHON)
    assert [k.name for k in publish(root, prefix)] == ["analyst-demo"]


@pytest.mark.parametrize("name", ["a b", "ä", "x" * 100])
def test_folder_that_jupyter_would_not_take_is_left(root: Path, prefix: Path, name: str) -> None:
    bring(prefix, name, PYTHON)
    assert publish(root, prefix) == ()


@pytest.mark.parametrize("target", ["/dev/zero", "/etc/passwd", "../../../../secret"])
def test_spec_outside_the_prefix_is_never_read(root: Path, prefix: Path, target: str) -> None:
    (root / "secret").write_text(json.dumps(PYTHON))
    spec = bring(prefix, "python3", PYTHON) / "kernel.json"
    spec.unlink()
    spec.symlink_to(target)
    assert publish(root, prefix) == ()


def test_pipe_for_a_spec_does_not_block(root: Path, prefix: Path) -> None:
    spec = bring(prefix, "python3", PYTHON) / "kernel.json"
    spec.unlink()
    os.mkfifo(spec)
    assert publish(root, prefix) == ()


def test_kernels_have_the_mode_of_their_namespace(root: Path, prefix: Path) -> None:
    bring(prefix, "python3", PYTHON)
    Folder(root, mode=0o750).publish(KEY, prefix, link=link_of(root))
    tree = [root / "jupyter/analyst", *(root / "jupyter/analyst").rglob("*")]
    assert {stat.S_IMODE(p.stat().st_mode) for p in tree if p.is_dir()} == {0o750}
    assert {stat.S_IMODE(p.stat().st_mode) for p in tree if p.is_file()} == {0o640}
    assert stat.S_IMODE((root / "jupyter/launch").stat().st_mode) == 0o555


@pytest.mark.needs_root
def test_kernels_have_the_group_of_their_namespace(root: Path, prefix: Path) -> None:
    bring(prefix, "python3", PYTHON)
    group = next(g for g in grp.getgrall() if g.gr_gid not in (0, os.getgid()))
    Folder(root, 0o750, group.gr_name).publish(KEY, prefix, link=link_of(root))
    tree = [root / "jupyter/analyst", *(root / "jupyter/analyst").rglob("*")]
    assert {p.stat().st_gid for p in tree} == {group.gr_gid}
    assert (root / "jupyter").stat().st_gid == os.getgid()


def test_unknown_group_opens_nothing(root: Path, prefix: Path) -> None:
    bring(prefix, "python3", PYTHON)
    with pytest.raises(LookupError):
        Folder(root, 0o755, "no-such-group").publish(KEY, prefix, link=link_of(root))
    assert stat.S_IMODE((root / "jupyter/analyst").stat().st_mode) == 0o700


# ---------------------------------------------------------------- the real thing


@pytest.fixture
def jupyter(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person's Jupyter that knows of the root by JUPYTER_PATH alone."""
    monkeypatch.setenv("JUPYTER_PATH", str(root / "jupyter" / "analyst"))
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))


@pytest.fixture
def current(channel: Path, root: Path) -> Path:
    """A published environment with a kernel, a variable, and a module of its own."""
    prefix = make_prefix(channel, root, "1-old", "python", "ipykernel")
    (prefix / SITE_PACKAGES / "late.py").write_text("ORIGIN = __file__\n")
    variables = prefix / VARIABLES_FILE
    variables.parent.mkdir(parents=True)
    variables.write_text(variables_script((("GREETING", "it's here"),)))
    link = link_of(root)
    link.parent.mkdir(parents=True)
    link.symlink_to(prefix)
    publish(root, prefix)
    return prefix


@pytest.fixture
def client(jupyter: None, current: Path) -> Iterator[object]:
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(startup_timeout=60, kernel_name="analyst-demo")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def evaluate(client: object, expression: str) -> str:
    reply = client.execute_interactive(
        "", user_expressions={"value": expression}, timeout=60, output_hook=lambda _: None
    )
    value = reply["content"]["user_expressions"]["value"]
    return value["data"]["text/plain"] if value["status"] == "ok" else str(value)


@pytest.mark.peer
def test_started_kernel_lives_in_the_prefix_and_survives_a_switch(
    client: object, root: Path, current: Path
) -> None:
    assert evaluate(client, "__import__('sys').prefix") == repr(str(current))
    assert evaluate(client, "__import__('os').environ['GREETING']") == repr("it's here")
    (root / "builds" / "2-new").mkdir()
    beside = root / "envs" / "beside"
    beside.symlink_to(root / "builds" / "2-new")
    beside.replace(link_of(root))
    assert evaluate(client, "__import__('late').ORIGIN").startswith(f"'{current}/")


def test_a_kernel_may_be_called_otherwise(root: Path, prefix: Path) -> None:
    bring(prefix, "python3", PYTHON)
    bring(prefix, "ir", R)
    made = Folder(root).publish(KEY, prefix, link=link_of(root), shown="Ocean (2026)")
    assert {k.display_name for k in made} == {
        "Ocean (2026) (R)",
        "Ocean (2026) (Python 3 (ipykernel))",
    }
    assert all(k.name.startswith("analyst-demo--") for k in made)
