from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from labhttp import Bearer, Faults, LabServer
from solver_helpers import HOST, environment, make_request, versions

from envwatch import lockfile
from envwatch.channel import File, Package, add, index
from envwatch.errors import ConfigError, FetchError, PackageRefused, SolveError
from envwatch.model import Requirement
from envwatch.settings import Network, SolveOptions
from envwatch.solvers import Solver, open_solver


@pytest.fixture
def solver() -> Solver:
    return open_solver("rattler")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A channel that a test may change: one package, `thing` 1.0."""
    folder = tmp_path / "own"
    add(folder, package("thing"))
    index(folder)
    return folder


def package(name: str, version: str = "1.0", depends: tuple[str, ...] = ()) -> Package:
    return Package(name, version, noarch="generic", depends=depends, files=(File("a", b"a"),))


def plain_index(channel: Path) -> Path:
    """The one index file of the channel, to be changed: its other forms are removed."""
    for other in ("repodata.json.zst", "repodata_shards.msgpack.zst"):
        (channel / "noarch" / other).unlink(missing_ok=True)
    return channel / "noarch" / "repodata.json"


def strip(channel: Path, key: str) -> None:
    """Take one key out of every record of the channel's index."""
    path = plain_index(channel)
    repodata = json.loads(path.read_text())
    for record in repodata["packages.conda"].values():
        del record[key]
    path.write_text(json.dumps(repodata))


def test_solver_that_is_not_known_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown solver `pip`"):
        open_solver("pip")


def test_conda_pip_comes_with_a_pip_list(solver: Solver, own: Path, tmp_path: Path) -> None:
    add(own, package("python"))
    add(own, package("pip", depends=("python",)))
    index(own)
    text = environment("python", pip=["click"])
    assert set(versions(solver.solve(make_request(text, [own], tmp_path)))) == {"python", "pip"}


def test_package_of_a_named_channel_is_taken_from_there(
    solver: Solver, channel: Path, second_channel: Path, tmp_path: Path
) -> None:
    text = environment(f"{second_channel.as_uri()}::tiny")
    lock = solver.solve(make_request(text, [channel], tmp_path))
    assert versions(lock) == {"tiny": "9.0"}
    assert lock.channels == (channel.as_uri(), second_channel.as_uri())


def test_named_channel_that_is_not_allowed_is_refused(
    solver: Solver, channel: Path, second_channel: Path, tmp_path: Path
) -> None:
    text = environment("native", f"{second_channel.as_uri()}::tiny")
    request = make_request(text, [channel], tmp_path, allowed=[channel.as_uri()])
    with pytest.raises(SolveError, match="is not allowed") as e:
        solver.solve(request)
    assert e.value.line == 5


@pytest.mark.parametrize("form", ["{}", "tiny[url='{}']"])
def test_address_of_a_package_is_looked_up_in_its_channel(
    solver: Solver, channel: Path, tmp_path: Path, form: str
) -> None:
    (file,) = (channel / "noarch").glob("tiny-1.1-*.conda")
    text = environment(form.format(file.as_uri()))
    assert versions(solver.solve(make_request(text, [channel], tmp_path))) == {"tiny": "1.1"}


@pytest.mark.parametrize(
    ("dependency", "version"),
    [
        ("tiny 1.0", "1.0"),
        ("tiny=1", "1.1"),
        ("tiny ==1.0", "1.0"),
        ("tiny >=1,<1.1", "1.0"),
        ("tiny=1.0=*", "1.0"),
        ("Tiny[version='<2']", "1.1"),
    ],
)
def test_version_is_read_as_conda_reads_it(
    solver: Solver, channel: Path, tmp_path: Path, dependency: str, version: str
) -> None:
    lock = solver.solve(make_request(environment(dependency), [channel], tmp_path))
    assert versions(lock) == {"tiny": version}


@pytest.mark.parametrize(
    ("dependency", "problem"),
    [
        ("""tiny[license='MIT",url="http://127.0.0.1:9/noarch/tiny-9-0.conda']""", "has a quote"),
        ("""tiny[license='MIT\\']""", "has a quote"),
        ("https://example.org/noarch/tiny-1[x=1]-0.conda", "is not the address of a package"),
        ("https://example.org/noarch/tiny.conda", "is not the address of a package"),
    ],
)
def test_dependency_that_smuggles_is_refused(
    solver: Solver, channel: Path, tmp_path: Path, dependency: str, problem: str
) -> None:
    request = make_request(environment("tiny"), [channel], tmp_path)
    spec = replace(request.spec, dependencies=(Requirement(dependency, 7, 3),))
    with pytest.raises(SolveError, match=problem) as e:
        solver.solve(replace(request, spec=spec))
    assert (e.value.line, e.value.column) == (7, 3)


@pytest.mark.parametrize(("strict", "version"), [(True, "1.0"), (False, "9.0")])
def test_channel_priority_is_an_option(
    solver: Solver, own: Path, second_channel: Path, tmp_path: Path, strict: bool, version: str
) -> None:
    add(own, package("tiny"))
    add(own, package("picky", depends=("tiny >=9",) if not strict else ("tiny",)))
    index(own)
    options = SolveOptions(strict_channel_priority=strict)
    text = environment("picky")
    lock = solver.solve(make_request(text, [own, second_channel], tmp_path, options=options))
    assert versions(lock)["tiny"] == version


def test_channel_is_asked_anew_for_an_update(solver: Solver, own: Path, tmp_path: Path) -> None:
    request = make_request(environment("thing"), [own], tmp_path)
    assert versions(solver.solve(request)) == {"thing": "1.0"}
    add(own, package("thing", "2.0"))
    index(own)
    assert versions(solver.solve(replace(request, fresh=True))) == {"thing": "2.0"}


def test_package_without_sha256_is_refused(solver: Solver, own: Path, tmp_path: Path) -> None:
    strip(own, "sha256")
    with pytest.raises(PackageRefused, match="has no sha256 in the index"):
        solver.solve(make_request(environment("thing"), [own], tmp_path))


def test_package_without_md5_is_locked(solver: Solver, own: Path, tmp_path: Path) -> None:
    strip(own, "md5")
    request = make_request(environment("thing"), [own], tmp_path)
    lock = solver.solve(request)
    text = lockfile.render(lock, request.spec, text=environment("thing"))
    assert lockfile.digest(lockfile.read(text), HOST) == lockfile.digest(lock, HOST)


def test_index_that_sends_elsewhere_is_refused(solver: Solver, own: Path, tmp_path: Path) -> None:
    path = plain_index(own)
    repodata = json.loads(path.read_text())
    repodata["info"]["base_url"] = "https://evil.example.org/channel/noarch/"
    path.write_text(json.dumps(repodata))
    with pytest.raises(PackageRefused, match="in none of the channels"):
        solver.solve(make_request(environment("thing"), [own], tmp_path))


def test_broken_index_is_named(solver: Solver, own: Path, channel: Path, tmp_path: Path) -> None:
    plain_index(own).write_text("<html>")
    with pytest.raises(FetchError) as e:
        solver.solve(make_request(environment("thing"), [channel, own], tmp_path))
    assert e.value.message.startswith(f"channel `{own.as_uri()}` (noarch) cannot be read: ")


def test_server_that_does_not_answer_is_named(solver: Solver, tmp_path: Path) -> None:
    request = make_request(environment("tiny"), ["http://127.0.0.1:9/team"], tmp_path)
    request = replace(request, network=Network(retries=0, timeout=5))
    with pytest.raises(FetchError, match=r"channel `http://127\.0\.0\.1:9/team`") as e:
        solver.solve(request)
    assert e.value.retry


def test_lock_for_no_time_is_a_clear_error(solver: Solver, channel: Path, tmp_path: Path) -> None:
    options = SolveOptions(timeout=0.000001)
    with pytest.raises(SolveError, match="no answer of the solver within"):
        solver.solve(make_request(environment("ipykernel"), [channel], tmp_path, options=options))


def test_override_without_version_takes_a_virtual_package_away(
    solver: Solver, channel: Path, tmp_path: Path
) -> None:
    options = SolveOptions(virtual_packages=("__glibc=",))
    text = environment("hello-prefix")
    with pytest.raises(SolveError, match="`hello-prefix` needs `__glibc"):
        solver.solve(make_request(text, [channel], tmp_path, options=options))


def test_file_overrides_the_config(solver: Solver, channel: Path, tmp_path: Path) -> None:
    options = SolveOptions(virtual_packages=("__cuda=11.0",))
    text = environment("needs-cuda", tail='variables: {CONDA_OVERRIDE_CUDA: "12.4"}\n')
    lock = solver.solve(make_request(text, [channel], tmp_path, options=options))
    assert versions(lock) == {"needs-cuda": "1.0"}


def test_override_that_is_no_version_is_refused(
    solver: Solver, channel: Path, tmp_path: Path
) -> None:
    options = SolveOptions(virtual_packages=("__cuda=1 2 3",))
    with pytest.raises(SolveError, match="is not a version of the virtual package `__cuda`"):
        solver.solve(make_request(environment("tiny"), [channel], tmp_path, options=options))


# ---------------------------------------------------------------- over HTTP


def failure(solver: Solver, server: LabServer, tmp: Path, path: str = "") -> FetchError:
    with pytest.raises(FetchError) as e:
        solver.solve(make_request(environment("thing"), [server.url + path], tmp))
    return e.value


def test_channel_that_asks_who_we_are_names_the_auth_file(
    solver: Solver, own: Path, tmp_path: Path
) -> None:
    with LabServer(own, auth=Bearer("s3cret")) as server:
        error = failure(solver, server, tmp_path)
        assert error.message.startswith(f"channel `{server.url}` refuses access")
    assert error.message.endswith(": 401")
    assert "`channels.auth_file`" in error.hint
    assert not error.retry


def test_channel_that_is_not_found_is_named(solver: Solver, own: Path, tmp_path: Path) -> None:
    with LabServer(own) as server:
        error = failure(solver, server, tmp_path, "/team")
        assert error.message == f"channel `{server.url}/team` does not exist"
    assert not error.retry


@pytest.mark.parametrize(
    "faults",
    [Faults(fail=99, status=500), Faults(truncate="noarch"), Faults(corrupt="noarch/repodata")],
    ids=["error", "truncated", "corrupt"],
)
def test_server_with_trouble_may_be_asked_again(
    solver: Solver, own: Path, tmp_path: Path, faults: Faults
) -> None:
    with LabServer(own, faults=faults) as server:
        error = failure(solver, server, tmp_path)
        assert error.message.startswith(f"channel `{server.url}` (")
    assert error.retry
