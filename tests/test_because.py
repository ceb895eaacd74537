"""Why a package is there."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from envwatch.because import because
from envwatch.lockfile import packages
from envwatch.model import Lock, LockedPackage, Manager, Package


def package(name: str, *depends: str, asked: bool = False) -> Package:
    return Package(name, "1", "0", Manager.CONDA, "c", requested=asked, depends=depends)


def test_the_shortest_way_counts() -> None:
    found = because(
        [
            package("pandas", "numpy", "python", asked=True),
            package("numpy", "libblas"),
            package("libblas", "libgfortran"),
            package("libgfortran"),
            package("python", "libffi"),
            package("dask", "libblas", asked=True),
            package("libffi"),
        ]
    )
    assert found == {
        "pandas": (),
        "dask": (),
        "numpy": ("pandas",),
        "python": ("pandas",),
        "libblas": ("dask",),
        "libgfortran": ("dask", "libblas"),
        "libffi": ("pandas", "python"),
    }


def test_circles_and_strangers_have_an_end() -> None:
    found = because([package("a", "b", "missing", asked=True), package("b", "a"), package("lost")])
    assert found == {"a": (), "b": ("a",), "lost": ()}


def test_a_lock_says_what_needs_what() -> None:
    locked = LockedPackage(
        Manager.CONDA, "linux-64", "numpy", "2", "https://x/numpy-2-0.conda", "0" * 64,
        depends=("python >=3.11,<3.12.0a0", "__glibc >=2.17", "libblas >=3.9", "libblas"),
    )  # fmt: skip
    (listed,) = packages(Lock(("linux-64",), (), (locked,)), "linux-64")
    assert listed.depends == ("libblas", "python")


NAMES = st.sampled_from("abcdef")


@given(st.dictionaries(NAMES, st.tuples(st.lists(NAMES, max_size=4), st.booleans())))
def test_each_step_of_a_way_is_a_dependency(graph: dict[str, tuple[list[str], bool]]) -> None:
    found = [package(n, *sorted(set(below)), asked=asked) for n, (below, asked) in graph.items()]
    for name, way in because(found).items():
        steps = (*way, name)
        assert all(below in graph[above][0] for above, below in pairwise(steps))
        assert not way or graph[way[0]][1]
