"""Where packages may come from: allowed channels and hosts, compared by what they mean."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envwatch.errors import SpecError
from envwatch.model import Spec
from envwatch.policy import allowed_urls, channel_urls, check_pip_urls
from envwatch.settings import PipOptions
from envwatch.spec import parse

ALIAS = "https://conda.example.org/"


def spec_of(*channels: str, dependency: str = "python") -> Spec:
    listed = "".join(f"- '{c}'\n" for c in channels)
    text = f"channels:\n{listed}dependencies:\n- '{dependency}'\n"
    spec = parse(text.encode(), path="x.yml")
    assert spec is not None
    return spec


def urls(
    spec: Spec, *allowed: str, default: tuple[str, ...] = ("conda-forge",), alias: str = ALIAS
) -> tuple[str, ...]:
    return channel_urls(spec, default=default, allowed=allowed, alias=alias)


def refusal(spec: Spec, *allowed: str) -> SpecError:
    with pytest.raises(SpecError) as caught:
        urls(spec, *allowed)
    return caught.value


def test_names_become_urls_below_the_alias_in_their_order() -> None:
    found = urls(spec_of("bioconda", "conda-forge", "conda-forge/label/dev"))
    assert found == (
        "https://conda.example.org/bioconda",
        "https://conda.example.org/conda-forge",
        "https://conda.example.org/conda-forge/label/dev",
    )


def test_a_file_without_channels_gets_those_of_the_config() -> None:
    found = urls(spec_of(), default=("file:///srv/channel", "conda-forge"))
    assert found == ("file:///srv/channel", "https://conda.example.org/conda-forge")


def test_one_place_is_searched_once() -> None:
    found = urls(spec_of("conda-forge", "HTTPS://Conda.Example.org:443/conda-forge/"))
    assert found == ("https://conda.example.org/conda-forge",)


def test_an_alias_with_port_and_path_is_kept() -> None:
    assert urls(spec_of("a"), alias="http://[::1]:8000/mirror") == ("http://[::1]:8000/mirror/a",)


def test_with_nothing_listed_any_name_may_be_used_but_no_other_place() -> None:
    assert urls(spec_of("anything")) == ("https://conda.example.org/anything",)
    error = refusal(spec_of("conda-forge", "https://evil.example.org/x"))
    assert error.message == "the channel `https://evil.example.org/x` is not allowed"
    assert (error.path, error.line, error.column) == ("x.yml", 3, 3)
    assert "`channels.allowed`" in error.hint


def test_with_a_list_only_what_it_covers_may_be_used() -> None:
    assert urls(spec_of("bioconda"), "bioconda") == ("https://conda.example.org/bioconda",)
    assert refusal(spec_of("nvidia"), "bioconda").line == 2


def test_the_channels_of_the_config_are_allowed_without_being_listed() -> None:
    assert urls(spec_of("conda-forge"), "bioconda") == ("https://conda.example.org/conda-forge",)


@pytest.mark.parametrize(
    "channel",
    [
        "https://h.example/team", "https://h.example/team/", "https://h.example/team/label/x",
        "HTTPS://H.EXAMPLE/team", "https://h.example:443/team", "https://h.example//team",
    ],
)  # fmt: skip
def test_a_listed_place_and_what_is_below_it_may_be_used(channel: str) -> None:
    (found,) = urls(spec_of(channel), "https://h.example/team")
    assert found.startswith("https://h.example/team")


@pytest.mark.parametrize(
    "channel",
    [
        "http://h.example/team", "https://h.example:8443/team", "https://h.example/teams",
        "https://h.example/", "https://h.example.evil.org/team", "https://evil.org/h.example/team",
        "https://h.example/team/../other", "https://h.example/team/%2e%2e/other",
        "https://h.example/team/%252e%252e/other", "https://h.example/team/..%2fother",
        "https://h.example/team?x", "https://evil.org#@h.example/team", "https://h.example./team",
        "https://h.example/team#x", "https:///team",
        "https://h.example:99999/team", "https://h.example:x/team", "https://[h.example/team",
        "//h.example/team", "https:h.example/team", "file://h.example/team", "TEAM/",
    ],
)  # fmt: skip
def test_a_place_that_only_looks_like_a_listed_one_is_refused(channel: str) -> None:
    assert refusal(spec_of(channel), "https://h.example/team").line == 2


@pytest.mark.parametrize(
    "channel",
    [
        "http://127.1/x", "http://[::1]/x", "http://0x7f000001/x", "http://2130706433/x", "http://0/x",
        "http://169.254.169.254/x", "oci://h.example/x", "s3://bucket/x", "ftp://h.example/x",
        "file:///etc", "/etc", "../../etc", "~/x", "./x",
    ],
)  # fmt: skip
def test_other_places_are_refused_when_nothing_is_listed(channel: str) -> None:
    assert refusal(spec_of(channel)).line == 2


def test_a_folder_may_be_used_when_it_is_listed() -> None:
    assert urls(spec_of("/srv/channel"), "file:///srv") == ("file:///srv/channel",)
    assert urls(spec_of("file:///srv/channel/"), "/srv/channel") == ("file:///srv/channel",)


def test_defaults_are_refused_with_another_name() -> None:
    error = refusal(spec_of("conda-forge", "defaults"))
    assert error.message == "the channel `defaults` is not allowed"
    assert "use `conda-forge`" in error.hint


def test_defaults_are_what_anaconda_means_where_they_are_listed() -> None:
    found = urls(spec_of("defaults"), "defaults")
    assert found == ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")


@pytest.mark.parametrize(
    "dependency",
    [
        "conda-forge::numpy", "conda-forge/linux-64::numpy", "numpy[channel=conda-forge]",
        "https://conda.example.org/conda-forge::numpy",
        "https://conda.example.org/conda-forge/noarch/a-1-0.conda",
        'numpy[url="https://conda.example.org/conda-forge/noarch/a-1-0.conda#00"]',
    ],
)  # fmt: skip
def test_a_dependency_may_name_a_listed_channel(dependency: str) -> None:
    spec = spec_of("conda-forge", dependency=dependency)
    assert urls(spec, "conda-forge") == ("https://conda.example.org/conda-forge",)


@pytest.mark.parametrize(
    "dependency",
    [
        "evil::numpy", "numpy[channel=evil]", "conda-forge::numpy[channel=evil]",
        "http://127.0.0.1:9/x::numpy", "numpy[channel=http://127.0.0.1:9/x]",
        "numpy[url=http://127.0.0.1:9/x.conda]", "http://127.0.0.1:9/noarch/x-1-0.conda",
        "file:///srv/noarch/x-1-0.conda", "numpy[build=x, channel='evil']", "defaults::numpy",
        "https://conda.example.org/conda-forge/../evil/noarch/x-1-0.conda",
    ],
)  # fmt: skip
def test_a_dependency_cannot_lead_elsewhere(dependency: str) -> None:
    text = dependency.replace("'", "''")
    error = refusal(spec_of("conda-forge", dependency=text), "conda-forge")
    assert (error.line, error.column) == (4, 3)


@pytest.mark.parametrize(
    "dependency",
    [
        "bioconda::samtools", "bioconda/noarch::samtools", "samtools[channel=bioconda]",
        "https://conda.example.org/bioconda/linux-64/samtools-1-0.conda",
    ],
)  # fmt: skip
def test_a_channel_that_only_a_dependency_names_is_searched_last(dependency: str) -> None:
    assert urls(spec_of("conda-forge", "nvidia", dependency=dependency)) == (
        "https://conda.example.org/conda-forge",
        "https://conda.example.org/nvidia",
        "https://conda.example.org/bioconda",
    )


def test_the_allowed_places_are_told_as_urls() -> None:
    found = allowed_urls(default=("a",), allowed=("https://H.example/b/", "a"), alias=ALIAS)
    assert found == ("https://conda.example.org/a", "https://h.example/b")


@given(st.from_regex(r"\A[a-z]{1,8}://[a-z0-9.@:#?%/\[\]-]{1,30}\Z"))
def test_an_address_is_refused_or_has_one_spelling(url: str) -> None:
    with suppress(SpecError):
        (found,) = channel_urls(spec_of(), default=(url,), allowed=(), alias=ALIAS)
        assert channel_urls(spec_of(), default=(found,), allowed=(), alias=ALIAS) == (found,)


# ---------------------------------------------------------------- pip


def pip_spec(requirement: str) -> Spec:
    text = f"dependencies:\n- pip:\n  - '{requirement}'\n"
    spec = parse(text.encode(), path="x.yml")
    assert spec is not None
    return spec


@pytest.mark.parametrize(
    ("requirement", "hosts"),
    [
        ("httpx", ()),
        ("a @ https://h.example/a-1.0-py3-none-any.whl", ("h.example",)),
        ("a @ https://h.example:443/a-1.0%2Bcu1-py3-none-any.whl#sha256=00", ("H.example",)),
        ("a @ https://h.example:8443/a-1.0-py3-none-any.whl", ("h.example:8443",)),
        ("a @ http://h.example/a-1.0-py3-none-any.whl", ("http://h.example",)),
    ],
)
def test_a_wheel_from_an_allowed_host_is_accepted(requirement: str, hosts: tuple[str, ...]) -> None:
    check_pip_urls(pip_spec(requirement), PipOptions(allowed_hosts=hosts))


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.org/a.whl", "http://h.example/a.whl", "https://h.example:444/a.whl",
        "https://h.example.evil.org/a.whl", "https://evil.org/h.example/a.whl", "https://127.1/a.whl",
        "https://evil.org?@h.example/a.whl",
    ],
)  # fmt: skip
def test_a_wheel_from_another_host_is_refused(url: str) -> None:
    with pytest.raises(SpecError) as caught:
        check_pip_urls(pip_spec(f"a @ {url}"), PipOptions(allowed_hosts=("h.example",)))
    assert (caught.value.line, caught.value.column) == (3, 5)


def test_a_source_archive_needs_the_operators_word() -> None:
    spec = pip_spec("a @ https://h.example/a-1.0.tar.gz")
    with pytest.raises(SpecError, match="is not a wheel") as caught:
        check_pip_urls(spec, PipOptions(allowed_hosts=("h.example",)))
    assert "`pip.allow_sdist`" in caught.value.hint
    check_pip_urls(spec, PipOptions(allowed_hosts=("h.example",), allow_sdist=True))
