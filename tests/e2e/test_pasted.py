"""What the page tells people to paste and to type is done, letter by letter, in an empty home."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from needs import need
from repos import make_repo
from running import Running, cli, ended, text
from waiting import wait_for

PROGRAMS = Path(sys.executable).parent
SECRET = "0123456789abcdef0123456789abcdef"
NOBODY = 65534
SHOW = "import os, sys; print(os.environ.get('CONDA_DEFAULT_ENV'), os.path.realpath(sys.prefix))"
WHERE = "import rich; print(rich.__file__)"


@pytest.fixture(scope="module")
def conda() -> str:
    """The real conda, as conda-lock brings it, for a shell in which it is installed."""
    command = f"{sys.executable} -m conda_lock._vendor.conda shell.posix"
    return f'conda() {{ eval "$({command} "$@")"; }}'


@dataclass
class Person:
    """Somebody with an empty home who types into bash; `pasted` is in their profile."""

    home: Path
    texts: dict[str, str]
    user: int
    pasted: list[str] = field(default_factory=list)

    def types(self, *lines: str, given: str = "", **more: str) -> str:
        script = "\n".join([*self.pasted, *lines])
        done = subprocess.run(
            ("bash", "-c", script),
            input=given,
            user=self.user,
            group=self.user,
            extra_groups=[],
            cwd=self.home,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.home), **more},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, channel: Path) -> Iterator[Running]:
    """A daemon behind a proxy that signs people in, and an environment that Ada may see."""
    folder = tmp_path_factory.mktemp("used")
    repo = make_repo(folder / "environments")
    repo.commit({"demo/environment.yml": text("python", "ipykernel", "rich")})
    source = {"name": "team", "git": str(repo.path), "branch": "main", "namespace": "analyst"}
    (folder / "proxy-secret").write_text(SECRET)
    (folder / "proxy-secret").chmod(0o600)
    more = {
        "login": {"proxy": {"user_header": "X-Person", "secret_file": "proxy-secret"}},
        "access": {"grants": [{"role": "viewer", "namespaces": ["analyst"], "users": ["ada"]}]},
    }
    with ended(Running(folder, channel, [source], more)) as running:
        running.start()
        running.wait_current(1)
        wait_for((running.root / "jupyter/analyst/kernels/analyst-demo/kernel.json").exists)
        yield running


@pytest.fixture
def ada(running: Running, tmp_path: Path) -> Person:
    """Another user of this machine where that is possible."""
    user = NOBODY if os.getuid() == 0 else os.getuid()
    home = tmp_path / "home of ada"
    home.mkdir()
    if os.getuid() == 0:
        os.chown(home, NOBODY, NOBODY)
    for folder in (running.folder, *running.folder.parents, *home.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    return Person(home, told(running, "ada"), user)


def told(running: Running, name: str) -> dict[str, str]:
    """The texts on the page, by their names."""
    address = f"http://127.0.0.1:{running.port}/use"
    asked = urllib.request.Request(
        address, headers={"X-Person": name, "X-Envwatch-Proxy-Secret": SECRET}
    )
    with urllib.request.urlopen(asked, timeout=20) as answer:  # noqa: S310  # ours
        page = answer.read().decode()
    found = re.findall(
        r'<pre class="shell[^"]*" id="t-([\w-]+)"[^>]*><code>(.*?)</code>', page, re.S
    )
    return {name: html.unescape(text) for name, text in found}


def test_every_way_without_conda_leads_to_the_environment(running: Running, ada: Person) -> None:
    prefix = running.wait_current(1)
    python, shell = ada.texts["python"], ada.texts["shell"]
    assert ada.types(f'{python} -c "{SHOW}"') == f"None {prefix}"
    assert ada.types(shell, given=f'python -c "{SHOW}"\nexit\n') == f"analyst-demo {prefix}"
    launched = shell.removesuffix(" bash")
    assert ada.types(f'{launched} python -c "{SHOW}"') == f"analyst-demo {prefix}"


def test_the_hook_activates_it_in_the_shell_that_is_open(running: Running, ada: Person) -> None:
    prefix = running.wait_current(1)
    ada.user = os.getuid()  # the program of the tests is in a folder of theirs
    path = f"{PROGRAMS}:/usr/bin:/bin"
    shown = ada.types(ada.texts["hook"], f'python -c "{SHOW}"', PATH=path)
    assert shown == f"analyst-demo {prefix}"


@pytest.mark.peer
def test_conda_activates_it_by_its_name_and_its_path(
    running: Running, ada: Person, conda: str
) -> None:
    prefix, link = running.wait_current(1), running.link()
    ada.user = os.getuid()
    show = f'python -c "{SHOW}"; echo "$PS1"'
    by_path = ada.texts["micromamba"].replace("micromamba", "conda")
    assert ada.types(conda, by_path, show).splitlines()[0] == f"{link} {prefix}"
    (ada.home / ".condarc").write_text(ada.texts["condarc"])
    assert ada.types(conda, ada.texts["conda"], show) == f"{link} {prefix}\n(analyst-demo)"


@pytest.mark.peer
def test_jupyter_lists_its_kernel(ada: Person) -> None:
    ada.user = os.getuid()
    ada.pasted.append(ada.texts["jupyter"])
    listed = json.loads(ada.types(f"{PROGRAMS}/jupyter-kernelspec list --json"))
    assert "analyst-demo" in listed["kernelspecs"]


def test_what_pip_left_is_seen_kept_out_and_put_aside(running: Running, ada: Person) -> None:
    version = running.generations()[0].python.rpartition(".")[0]
    left = f".local/lib/python{version}/site-packages"
    ada.types(f"mkdir -p {left}", f"touch {left}/rich.py")
    ask = f'{ada.texts["python"]} -c "{WHERE}"'
    stray = str(ada.home / left / "rich.py")
    assert ada.types(ask) == stray
    assert ada.types(ada.texts["no-user-site"], ask) != stray
    assert ada.types(ada.texts["shell"], given=f'python -c "{WHERE}"\n') != stray
    assert "rich.py" in ada.types(ada.texts["user-site"]).split()
    ada.types(ada.texts["user-site"], ada.texts["user-site-aside"])
    assert ada.types(ask) != stray
    assert (ada.home / f"{left}.off/rich.py").exists()


def test_a_folder_on_top_takes_what_one_is_writing(running: Running, ada: Person) -> None:
    # the Python of the tests brings no pip
    ada.types(f"{ada.texts['venv']} --without-pip")
    mine = "analyst-demo-mine"
    shown = ada.types(f'{mine}/bin/python -c "{WHERE}"')
    assert Path(shown).resolve().is_relative_to(running.wait_current(1))
    paths = ada.types(
        f"{mine}/bin/python -c \"import sysconfig; print(sysconfig.get_path('purelib'))\""
    )
    assert paths.startswith(str(ada.home / mine))


def test_a_token_opens_files_and_the_repository_of_ones_own(running: Running, ada: Person) -> None:
    need("curl")
    shutil.rmtree(ada.home)
    ada.home.mkdir()
    ada.user = os.getuid()
    told = cli(running, "token", "create", "laptop", "--namespaces", "ada,analyst", "--json")
    secret = json.loads(told.stdout)["token"]
    ada.types(ada.texts["download"], ENVWATCH_TOKEN=secret)
    assert "ipykernel" in (ada.home / "conda-lock.yml").read_text()
    asked = ada.home / "ask"
    asked.write_text(f"#!/bin/sh\necho {secret}\n")
    asked.chmod(0o700)
    ada.types(ada.texts["clone"], GIT_ASKPASS=str(asked))
    assert (ada.home / "ada/.git").is_dir()


def test_the_same_environment_is_had_on_another_machine(running: Running, ada: Person) -> None:
    ada.user = os.getuid()
    told = cli(running, "token", "create", "elsewhere", "--namespaces", "analyst", "--json")
    more = {"PATH": f"{PROGRAMS}:/usr/bin:/bin", "XDG_CONFIG_HOME": str(ada.home / "config")}
    secret = json.loads(told.stdout)["token"]
    ada.types(f"{ada.texts['login']} --token-file -", given=f"{secret}\n", **more)
    shown = ada.types(ada.texts["pull"], given=SHOW, **more).splitlines()[-1]
    assert shown.startswith(f"analyst-demo {ada.home}/.local/share/envwatch/")


def test_without_a_token_nothing_is_opened(running: Running, ada: Person) -> None:
    need("curl")
    with pytest.raises(AssertionError, match="404"):
        ada.types(ada.texts["download"], ENVWATCH_TOKEN="")
