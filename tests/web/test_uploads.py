"""A file that is chosen in a form is taken as it is, or refused: never changed on the way."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator

import pytest
from house_helpers import House, house_in
from werkzeug.test import TestResponse

from envwatch.web.uploads import decoded

NOTE = "name: new\n# für später\ndependencies: [python]\n"
TYPED = "name: typed\ndependencies: [python]\n"
OTHERS = {"latin-1": NOTE.encode("latin-1"), "UTF-16": NOTE.encode("utf-16")}
OTHERS["UTF-16 without a mark"] = TYPED.encode("utf-16-le")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house_in(tmp_path_factory.mktemp("house") / "root") as house:
        yield house


def send(house: House, data: bytes, verb: str = "load") -> TestResponse:
    form = {"namespace": "lab", "text": TYPED, "path": "new.yml", verb: "yes"}
    sent = {**form, "file": (io.BytesIO(data), "new.yml")}
    return house.call("developer", "POST", "/new", data=sent)


def area(page: str) -> str:
    found = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)
    assert found, page
    return html.unescape(found[1])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_file_in_utf_8_is_taken_to_the_last_sign(house: House, encoding: str) -> None:
    page = send(house, NOTE.encode(encoding))
    assert (page.status_code, area(page.text)) == (200, NOTE)


@pytest.mark.parametrize("verb", ["load", "check", "commit"])
@pytest.mark.parametrize("kind", OTHERS)
def test_a_file_in_another_encoding_is_refused(house: House, kind: str, verb: str) -> None:
    tip = house.tip("lab")
    page = send(house, OTHERS[kind], verb)
    assert (page.status_code, area(page.text)) == (409, TYPED)
    assert "<code>new.yml</code> was not taken: it is not text in UTF-8" in page.text
    assert "save it as UTF-8" in page.text
    assert house.tip("lab") == tip


def test_a_sign_that_was_cut_off_is_no_fault_of_the_file() -> None:
    start = "# ü".encode()[:-1]
    assert (decoded(start, whole=False), decoded(start)) == ("# ", None)


def test_a_form_that_is_kept_tells_later_that_its_file_was_not_taken(house: House) -> None:
    form = {"namespace": "lab", "text": TYPED, "file": (io.BytesIO(OTHERS["latin-1"]), "new.yml")}
    page = house.app.test_client().post("/new", data=form)
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', page.text)
    kept = {html.unescape(n): html.unescape(v) for n, v in found}
    assert (kept["text"], "\ufffd" in page.text) == (TYPED, False)
    again = house.call("developer", "POST", "/new", data=kept)
    assert (again.status_code, area(again.text)) == (409, TYPED)
    assert "it is not text in UTF-8" in again.text
