"""The yaml loader: what it reads, what it refuses, and where it says the fault is."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envwatch.errors import SpecError
from envwatch.yamltext import Kind, Limits, Node, load, shown


def read(text: str, limits: Limits | None = None) -> Node:
    return load(text.encode(), path="x.yml", limits=limits)


def refusal(data: str | bytes, limits: Limits | None = None) -> SpecError:
    with pytest.raises(SpecError) as caught:
        load(data if isinstance(data, bytes) else data.encode(), path="x.yml", limits=limits)
    return caught.value


def test_scalars_stay_text() -> None:
    node = read("[3.10, no, 1:30:00, 2001-01-01, 0x10, 1_000, .inf, null]")
    texts = [n.text for n in node.items]
    assert texts == ["3.10", "no", "1:30:00", "2001-01-01", "0x10", "1_000", ".inf", "null"]


def test_every_value_knows_its_place() -> None:
    (key, value), (_, items) = read("name: demo\nitems:\n  - one\n  -  two\n").entries
    assert (key.line, key.column, value.line, value.column) == (1, 1, 1, 7)
    assert [(n.line, n.column) for n in items.items] == [(3, 5), (4, 6)]


@pytest.mark.parametrize("text", ["~", "null", "Null", "NULL", ""])
def test_an_unquoted_null_is_known_as_such(text: str) -> None:
    node = read(f"a: {text}").get("a")
    assert node is not None
    assert node.null
    assert node.shape == "nothing"


@pytest.mark.parametrize("text", ["'null'", '"~"', '""', "nil"])
def test_a_quoted_null_is_text(text: str) -> None:
    node = read(f"a: {text}").get("a")
    assert node is not None
    assert not node.null


@pytest.mark.parametrize(
    ("text", "meaning"),
    [("true", True), ("Yes", True), ("on", True), ("FALSE", False), ("no", False), ("off", False)],
)
def test_an_unquoted_boolean_can_be_asked_for(text: str, meaning: bool) -> None:
    node = read(f"a: {text}").get("a")
    assert node is not None
    assert node.boolean is meaning


@pytest.mark.parametrize("text", ["'true'", "1", "[yes]", "truth"])
def test_what_is_no_boolean_is_none(text: str) -> None:
    node = read(f"a: {text}").get("a")
    assert node is not None
    assert node.boolean is None


def test_the_comment_of_a_line_belongs_to_its_value() -> None:
    node = read("- a  # [linux]\n- 'b'   # [win] \n- c\n- d#e\n- [f, g] # no\n-  # none\n# h\n")
    assert [n.comment for n in node.items] == ["[linux]", "[win]", "", "", "", "none"]


def test_the_comment_of_an_entry_is_found_behind_its_value() -> None:
    node = read("sel(linux): gdb # debugger\nb: |\n  text # inside\n")
    assert [value.comment for _, value in node.entries] == ["debugger", ""]


def test_a_byte_order_mark_and_windows_line_ends_change_nothing() -> None:
    assert load(b"\xef\xbb\xbfa: b # c\r\n", path="x") == load(b"a: b # c\n", path="x")


def test_a_missing_key_is_none() -> None:
    assert read("a: b").get("c") is None


def test_a_file_over_the_limit_is_not_parsed() -> None:
    error = refusal("[" * 100, Limits(max_bytes=99))
    assert error.message == "the file has 100 bytes, more than the 99 that are read"


def test_a_file_at_the_limit_is_read() -> None:
    assert read("a" * 99, Limits(max_bytes=99)).text == "a" * 99


@pytest.mark.parametrize(
    ("text", "limits", "message"),
    [
        ("[[[a]]]", Limits(max_depth=3), "nested more than 3 levels deep"),
        ("[a, b, c]", Limits(max_nodes=3), "more than 3 values"),
        ("[abcd]", Limits(max_scalar=3), "a text of 4 characters, at most 3 are read"),
    ],
)
def test_one_more_than_a_limit_is_refused(text: str, limits: Limits, message: str) -> None:
    assert refusal(text, limits).message == message


def test_exactly_a_limit_is_read() -> None:
    limits = Limits(max_depth=4, max_nodes=4, max_scalar=3)
    assert read("[[[abc]]]", limits).items[0].items[0].items[0].text == "abc"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: &x b", (1, 4), "the anchor `&x` is not allowed"),
        ("a: *x", (1, 4), "the alias `*x` is not allowed"),
        ("*x : a", (1, 1), "the alias `*x` is not allowed"),
        ("a:\n  <<: {b: c}", (2, 3), "the merge key `<<` is not allowed"),
        ("a: !!str b", (1, 4), "the tag `tag:yaml.org,2002:str` is not allowed"),
        ("a: !include b", (1, 4), "the tag `!include` is not allowed"),
        ("! a", (1, 1), "the tag `!` is not allowed"),
        ("a: 1\nb: 2\na: 3", (3, 1), "the key `a` is already on line 1"),
        ("a: 1\n'a': 2", (2, 1), "the key `a` is already on line 1"),
        ("a: 1\n---\nb: 2", (2, 1), "a second yaml document"),
        ("a: 1\n---\n", (2, 1), "a second yaml document"),
        ("? [a]\n: b", (1, 3), "a key must be text, not a list or a mapping"),
        ('a: "\\x1b[31m"', (1, 4), "the character `\\x1b` is not allowed"),
        ('a: "\\ud800"', (1, 4), "the character `\\ud800` is not allowed"),
        ("a: b\x07", (1, 5), "the character `\\x07` is not allowed"),
    ],
)
def test_what_can_surprise_is_refused(text: str, place: tuple[int, int], message: str) -> None:
    error = refusal(text)
    assert (error.message, error.line, error.column, error.path) == (message, *place, "x.yml")


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a:\n\t- b", (2, 1), "a tab where yaml wants spaces"),
        ("a: b: c", (1, 5), "a `:` that yaml does not expect here"),
        ("a: 1\nb\nc: 2", (2, 1), "a line without `:` among `key: value` lines"),
        ('a: "b\nc: d', (1, 4), "a quote that is never closed"),
        ("a: [b, c", (1, 4), "a `[` that is never closed"),
        ("a: {b: c", (1, 4), "a `{` that is never closed"),
        ("a:\n  - b\n - c", (3, 2), "the indentation does not fit the lines above"),
        ("- a\nb: c", (2, 1), "the indentation does not fit the list above"),
        ("a: @b", (1, 4), "a character that yaml does not expect here"),
        ("a: {{ b }}", (1, 5), "a template, not yaml"),
        ("{% if x %}\na: b", (1, 2), "a template, not yaml"),
        ("a: - b", (1, 4), "not valid yaml: sequence entries are not allowed here"),
    ],
)
def test_a_mistake_in_the_syntax_is_explained(
    text: str, place: tuple[int, int], message: str
) -> None:
    error = refusal(text)
    assert (error.message, error.line, error.column) == (message, *place)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "~"])
def test_a_file_without_a_value_is_empty(text: str) -> None:
    assert refusal(text).message == "the file is empty"


def test_a_file_that_is_not_utf8_is_refused_with_the_offset() -> None:
    error = refusal(b"a: b\nc: caf\xe9\n")
    assert error.message == "not UTF-8: byte 0xe9 at offset 11"
    assert error.line == 2


def test_a_conflict_marker_is_named() -> None:
    error = refusal("a: b\n<<<<<<< HEAD\nc: d\n=======\nc: e\n>>>>>>> other\n")
    assert (error.message, error.line) == ("a git conflict marker `<<<<<<<`", 2)


def test_a_git_lfs_pointer_is_named() -> None:
    error = refusal("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert error.message == "a git-lfs pointer, not the file"


@pytest.mark.parametrize("text", ['"\\UFFFFFFFF"', '"\\U00110000"', "%YAML 1." + "9" * 5000])
def test_a_number_that_python_cannot_hold_is_refused(text: str) -> None:
    assert refusal(text).message.startswith("not valid yaml")


def test_a_long_name_in_an_error_is_cut() -> None:
    assert len(str(refusal("&" + "a" * 60_000 + " b"))) < 200


def test_text_is_shown_short_and_without_control_characters() -> None:
    assert shown("a\x1bb\u202ec\n") == "a\\x1bb\\u202ec\\n"
    assert shown("a" * 81) == "a" * 79 + "…"


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    _read_or_refuse(data)


@given(st.text("abc:-?[]{},#&*!|>'\"%@`<>=. \n\t\\xuU0189~\ufeff\x85", max_size=60))
@settings(max_examples=400, deadline=None)
def test_any_text_made_of_yaml_signs_is_read_or_refused(text: str) -> None:
    _read_or_refuse(text.encode())


def _read_or_refuse(data: bytes) -> None:
    with suppress(SpecError):
        assert load(data, path="x").kind in Kind


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=20)))
@settings(max_examples=100, deadline=None)
def test_quoted_texts_come_back_as_they_are(texts: list[str]) -> None:
    quoted = ", ".join("'" + t.replace("'", "''") + "'" for t in texts)
    assert [n.text for n in read(f"[{quoted}]").items] == texts
