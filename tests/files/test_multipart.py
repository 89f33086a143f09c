"""Forms: whatever way their bytes are cut, and whatever is wrong with them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistd.errors import APIError
from assistd.files.multipart import Form, decode_fields
from assistd.files.names import check_name
from assistd.files.wire import ExpiresAfter, FileFields
from tests.files.forms import BOUNDARY, TYPE, field, file, form, part

HEADERS = {k.lower(): v for k, v in TYPE.items()}


async def in_pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def read(body: bytes, size: int = 64, headers: dict[str, str] = HEADERS) -> tuple[str | None, bytes, Form]:
    form = Form(headers, in_pieces(body, size), "file")
    file = await form.open()
    content = b"".join([chunk async for chunk in file.chunks()])
    await form.finish()
    return file.filename, content, form


async def refusal(body: bytes, headers: dict[str, str] = HEADERS) -> APIError:
    with pytest.raises(APIError) as refused:
        await read(body, headers=headers)
    assert refused.value.status == 400
    return refused.value


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 100_000])
@pytest.mark.parametrize("behind", [True, False])
async def test_any_cut_gives_the_same(size: int, behind: bool) -> None:
    content = f"line\r\n--{BOUNDARY[:-1]}\r\n--{BOUNDARY}x\r\n-\r\r\n".encode() * 3 + bytes(range(256))
    given = [file(content), field("purpose", "assistants")]
    name, got, form_ = await read(form(*(given if behind else given[::-1])), size)
    assert (name, got, form_.fields) == ("a.txt", content, {"purpose": "assistants"})


@given(content=st.binary(max_size=2000), size=st.integers(1, 300))
async def test_any_content_comes_through(content: bytes, size: int) -> None:
    assert (await read(form(file(content)), size))[1] == content


async def test_a_large_file_is_never_held() -> None:
    """What waits to be taken is at most what one piece of the body brought."""
    parts = Form(HEADERS, in_pieces(form(file(b"x" * 5_000_000)), 10_000), "file")
    async for chunk in (await parts.open()).chunks():
        assert len(chunk) <= 10_000
        assert not parts._passing


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ('filename="plain.txt"', "plain.txt"),
        ("filename=token.txt", "token.txt"),
        ('filename="naïve 文書.pdf"', "naïve 文書.pdf"),
        ('filename="a \\"b\\".txt"', 'a "b".txt'),
        ('filename="a %22b%22.txt"', 'a "b".txt'),
        ('filename="100%.txt"', "100%.txt"),
        ('filename="semi;colon=x.txt"', "semi;colon=x.txt"),
        ("filename=\"x.txt\"; filename*=UTF-8''na%C3%AFve.txt", "naïve.txt"),
        ("filename*=utf-8'en'%E2%82%AC%20rates.txt; filename=\"x.txt\"", "€ rates.txt"),
        ("filename*=iso-8859-1''na%EFve.txt", "naïve.txt"),
        ("filename=text/csv", "text/csv"),
        ("filename=text/csv; filename*=utf-8''text%2Fcsv", "text/csv"),
        ('filename="/etc/passwd"', "/etc/passwd"),
        ('filename="../../../x.txt"', "../../../x.txt"),
        ('filename="C:\\Users\\me\\x.txt"', "C:\\Users\\me\\x.txt"),
        ('filename="C:\\\\Users\\\\x.txt"', "C:\\Users\\x.txt"),
        ('filename="..\\..\\x.txt"', "..\\..\\x.txt"),
        ("filename*=UTF-8''..%2F..%5Cx.txt", "../..\\x.txt"),
        ('filename="folder/"', "folder/"),
        ('filename=".."', ".."),
        ('filename="%2e%2e%2fx.txt"', "%2e%2e%2fx.txt"),
        ('filename=" x.txt "', " x.txt "),
        ('filename="<script>.html"', "<script>.html"),
        (f'filename="{"x" * 1024}"', "x" * 1024),
        (f"filename*=UTF-8''{'%F0%9F%98%80' * 1024}", "\U0001f600" * 1024),
    ],
)
async def test_file_names_arrive_as_they_were_meant(sent: str, name: str) -> None:
    body = form(part(f'form-data; name="file"; {sent}', b"x"))
    assert check_name((await read(body))[0], "file") == name


@pytest.mark.parametrize("sent", ["a%00b", "a%0D%0AX-Evil: 1", "a%1fb", "100%7F"])
async def test_control_characters_that_were_encoded_stay_so(sent: str) -> None:
    name, *_ = await read(form(part(f'form-data; name="file"; filename="{sent}"', b"x")))
    assert check_name(name, "file") == sent


@pytest.mark.parametrize("sent", ["filename*=UTF-8''a%00b", "filename*=UTF-8''a%0D%0Ab", 'filename="a\x1bb"'])
async def test_control_characters_are_refused(sent: str) -> None:
    name, *_ = await read(form(part(f'form-data; name="file"; {sent}', b"x")))
    with pytest.raises(APIError, match="control characters"):
        check_name(name, "file")


WHOLE = form(field("purpose", "assistants"), file(b"content"))


@pytest.mark.parametrize("cut", range(0, len(WHOLE) - 4, 3))
async def test_a_form_that_ends_in_the_middle(cut: int) -> None:
    assert (await refusal(WHOLE[:cut])).message.endswith("it ends in the middle.")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (form(field("purpose", "assistants")), "Missing required parameter: 'file'."),
        (form(file(b"1"), file(b"2")), "more than one 'file'; send one file at a time"),
        (form(field("purpose", "a"), field("purpose", "b"), file(b"1")), "more than one 'purpose'"),
        (form(*[field(f"f{i}", "") for i in range(40)], file(b"1")), "more than 32 parts"),
        (form(field("purpose", "x" * 5000), file(b"1")), "longer than 4096 bytes"),
        (form(part("attachment", b""), file(b"1")), "a part is no form-data"),
        (form(part("form-data", b""), file(b"1")), "a part has no name"),
        (form(part('form-data; name="purpose"', b"\xff"), file(b"1")), "not UTF-8"),
        (form(part("form-data; name=\"file\"; filename*=utf-8''%ff", b"1")), "a file name is not UTF-8"),
        (form(part("form-data; name=\"file\"; filename*=utf-16''%ff", b"1")), "UTF-8 is expected"),
        (form(part('form-data; name="file"; filename="x"', b"MQ==", {"Content-Transfer-Encoding": "base64"})), "bytes"),
        (form(part('form-data; name="file"; filename="x"', b"1", {"X-Long": "x" * 40_000})), "header size"),
        (b"this is no form", "We could not parse the multipart form"),
        (b"--other\r\n\r\n", "We could not parse the multipart form"),
    ],
)
async def test_what_is_wrong_is_told(body: bytes, says: str) -> None:
    assert says in (await refusal(body)).message


@pytest.mark.parametrize(
    ("content_type", "says"),
    [
        (None, "multipart/form-data"),
        ("application/json", "multipart/form-data"),
        ("multipart/mixed; boundary=x", "multipart/form-data"),
        ("multipart/form-data", "names no boundary"),
        ("multipart/form-data; boundary=", "names no boundary"),
        ('multipart/form-data; boundary=""', "names no boundary"),
        ("multipart/form-data; boundary=" + "x" * 300, "boundary is too long"),
    ],
)
async def test_what_is_no_form_is_told(content_type: str | None, says: str) -> None:
    assert says in (await refusal(WHOLE, {} if content_type is None else {"content-type": content_type})).message


@pytest.mark.parametrize(
    "content_type",
    [f'Multipart/Form-Data; charset=utf-8; boundary="{BOUNDARY}"', f"multipart/form-data;boundary={BOUNDARY}"],
)
async def test_ways_to_write_the_content_type(content_type: str) -> None:
    assert (await read(WHOLE, headers={"content-type": content_type}))[1] == b"content"


async def test_what_stands_behind_the_form_is_nothing() -> None:
    assert (await read(WHOLE + b"\r\nepilogue"))[1] == b"content"


def test_fields_with_members() -> None:
    fields = {"purpose": "vision", "expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    assert decode_fields(fields, FileFields) == FileFields("vision", ExpiresAfter("created_at", 3600))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "Missing required parameter: 'purpose'."),
        ({"purpose": "vision", "colour": "red"}, "Unknown parameter: 'colour'."),
        ({"purpose": "vision", "expires_after": "1"}, "Invalid type for 'expires_after'"),
        ({"purpose": "vision", "expires_after[": "1"}, "Unknown parameter: 'expires_after['."),
        ({"purpose": "vision", "expires_after[x]": "1"}, "Missing required parameter: 'expires_after.anchor'."),
        ({"purpose[x]": "1"}, "Invalid type for 'purpose'"),
        ({"purpose": "vision", "purpose[x]": "1"}, "Unknown parameter: 'purpose[x]'."),
        (
            {"purpose": "vision", "expires_after[anchor]": "created_at", "expires_after[seconds]": "3599"},
            "Expected a value >= 3600, but got 3599",
        ),
        (
            {"purpose": "vision", "expires_after[anchor]": "created_at", "expires_after[seconds]": "soon"},
            "Invalid type for 'expires_after.seconds': expected an integer, but got a string instead.",
        ),
        (
            {"purpose": "vision", "expires_after[anchor]": "last_active_at", "expires_after[seconds]": "3600"},
            "Supported values are: 'created_at'.",
        ),
    ],
)
def test_fields_that_are_wrong(fields: dict[str, str], says: str) -> None:
    with pytest.raises(APIError) as refused:
        decode_fields(fields, FileFields)
    assert says in refused.value.message
    assert refused.value.status == 400
