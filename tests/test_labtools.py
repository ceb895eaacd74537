"""The tools of the tests themselves: the faulty server, waiting, repositories."""

from __future__ import annotations

import http.client
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from labhttp import Basic, Bearer, Faults, LabServer, TokenPath
from needs import need
from waiting import wait_for

BODY = bytes(range(256)) * 400


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "a.bin").write_bytes(BODY)
    (tmp_path / "secret").write_text("outside")
    return tmp_path / "served"


def get(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request("GET", parts.path, headers=named)
        reply = connection.getresponse()
        return reply.status, reply.read(), dict(reply.headers)
    finally:
        connection.close()


def test_file_is_served_and_logged(folder: Path) -> None:
    with LabServer(folder) as server:
        assert get(f"{server.url}/a.bin")[:2] == (200, BODY)
        assert server.paths(200) == ["/a.bin"]


def test_unchanged_file_is_not_sent_again(folder: Path) -> None:
    with LabServer(folder) as server:
        etag = get(f"{server.url}/a.bin")[2]["ETag"]
        assert get(f"{server.url}/a.bin", If_None_Match=etag)[:2] == (304, b"")


@pytest.mark.parametrize(
    ("asked", "part"),
    [("bytes=10-19", BODY[10:20]), ("bytes=-5", BODY[-5:]), ("bytes=102000-", BODY[102000:])],
)
def test_range_is_served(folder: Path, asked: str, part: bytes) -> None:
    with LabServer(folder) as server:
        assert get(f"{server.url}/a.bin", Range=asked)[:2] == (206, part)


def test_range_beyond_the_end_is_refused(folder: Path) -> None:
    with LabServer(folder) as server:
        assert get(f"{server.url}/a.bin", Range="bytes=999999-")[0] == 416


def test_first_requests_fail_where_told(folder: Path) -> None:
    with LabServer(folder, faults=Faults(fail=2, fail_match="bin", status=500)) as server:
        assert [get(f"{server.url}/a.bin")[0] for _ in range(3)] == [500, 500, 200]


def test_hidden_file_is_not_found(folder: Path) -> None:
    with LabServer(folder, faults=Faults(hide=r"\.bin$")) as server:
        assert get(f"{server.url}/a.bin")[0] == 404


def test_faults_can_be_exchanged(folder: Path) -> None:
    with LabServer(folder, faults=Faults(fail=1)) as server:
        assert get(f"{server.url}/a.bin")[0] == 503
        server.misbehave(Faults(fail=1, status=429))
        assert [get(f"{server.url}/a.bin")[0] for _ in range(2)] == [429, 200]


def test_path_outside_the_folder_is_not_found(folder: Path) -> None:
    with LabServer(folder) as server:
        assert get(f"{server.url}/%2e%2e/secret")[0] == 404


def test_corrupted_body_has_the_right_length(folder: Path) -> None:
    with LabServer(folder, faults=Faults(corrupt="bin")) as server:
        body = get(f"{server.url}/a.bin")[1]
        assert len(body) == len(BODY)
        assert body != BODY


def test_truncated_body_ends_early(folder: Path) -> None:
    truncating = LabServer(folder, faults=Faults(truncate="bin"))
    with truncating as server, pytest.raises(http.client.IncompleteRead):
        get(f"{server.url}/a.bin")


def test_hanging_answer_ends_with_the_server(folder: Path) -> None:
    with LabServer(folder, faults=Faults(hang="bin")) as server:
        connection = http.client.HTTPConnection(server.host, timeout=0.1)
        connection.request("GET", "/a.bin")
        with pytest.raises(TimeoutError):
            connection.getresponse()
        connection.close()


def test_bearer_is_asked_for(folder: Path) -> None:
    with LabServer(folder, auth=Bearer("s3cret")) as server:
        assert get(f"{server.url}/a.bin")[0] == 401
        assert get(f"{server.url}/a.bin", Authorization="Bearer s3cret")[0] == 200


def test_password_is_asked_for(folder: Path) -> None:
    with LabServer(folder, auth=Basic("ada", "pw")) as server:
        assert get(f"{server.url}/a.bin")[0] == 401
        assert get(f"{server.url}/a.bin", Authorization="Basic YWRhOnB3")[0] == 200


def test_token_stands_in_the_path(folder: Path) -> None:
    with LabServer(folder, auth=TokenPath("tk")) as server:
        assert get(f"{server.url}/a.bin")[0] == 401
        assert get(f"{server.url}/t/tk/a.bin")[:2] == (200, BODY)


def test_waiting_gives_the_first_true_answer() -> None:
    answers = iter([0, "", "yes"])
    assert wait_for(lambda: next(answers)) == "yes"


def test_waiting_in_vain_says_for_what() -> None:
    with pytest.raises(AssertionError, match=r"waited 0\.01 s in vain for the moon"):
        wait_for(lambda: False, timeout=0.01, what="the moon")


def test_program_that_is_there_is_found() -> None:
    assert Path(need("git")).name == "git"


def test_missing_program_skips_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="`surely-not` is not there"):
        need("surely-not")


def test_missing_program_fails_the_test_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="`surely-not` is not there, and CI must"):
        need("surely-not")


def test_repository_is_real(git_repo) -> None:
    repo = git_repo(files={"env.yml": "a"})
    sha = repo.commit({"env.yml": None, "b/c.yml": "b"})
    assert repo.git("ls-tree", "-r", "--name-only", sha) == "b/c.yml"


def test_writing_to_the_home_fails_the_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pathlib\n"
        "def test_bad(): (pathlib.Path.home() / '.cache').mkdir()\n"
        "def test_good(): assert not list(pathlib.Path.home().iterdir())\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    options = ("-q", "-p", "conftest", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'base'}")
    command = (sys.executable, "-m", "pytest", *options, str(tmp_path / "test_it.py"))
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert "written to the home: .cache" in done.stdout
    assert "2 passed, 1 error" in done.stdout
