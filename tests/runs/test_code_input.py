"""The code of a call comes out as the model writes it, whatever it writes and however it is cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistd.llm.keepable import keepable
from assistd.runs.code_input import CodeReader, runnable
from tests.runs.steps import steps

CODE = 'import math\nprint("ünï 😀", r"\\d")\nmath.pi'


def read(*pieces: str) -> list[str]:
    """What comes out, piece by piece, the last piece when the arguments have ended."""
    reader = CodeReader()
    return [*(reader.feed(piece) for piece in pieces), reader.finish()]


def whole(*pieces: str) -> str:
    return "".join(read(*pieces))


def cut(text: str, cuts: list[int]) -> list[str]:
    places = sorted({at % (len(text) + 1) for at in cuts})
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def test_code_comes_out_as_it_is_written() -> None:
    assert read('{"co', 'de": "imp', "ort sys\\", "nprint(\\", 'u00e9)"', "}") == [
        "",
        "imp",
        "ort sys",
        "\nprint(",
        "é)",
        "",
        "",
    ]


def test_plain_code_comes_out_as_it_is_written() -> None:
    assert read("\n", "import sys", "\nprint(1)") == ["", "\nimport sys", "\nprint(1)", ""]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (json.dumps({"code": CODE}), CODE),
        (json.dumps({"code": CODE}, ensure_ascii=False, indent=2), CODE),
        (json.dumps({"input": CODE}), CODE),
        (json.dumps({"language": "python", "source": CODE}), CODE),
        (json.dumps({"timeout": 10, "options": {"code": 1}, "code": CODE}), CODE),
        (json.dumps({"program": CODE}), CODE),
        (json.dumps({"code": CODE.split("\n")}), CODE),
        (json.dumps({"arguments": {"code": CODE}}), CODE),
        (json.dumps(CODE), CODE),
        (json.dumps(json.dumps({"code": CODE})), CODE),
        ('{"code": "line one\nline two\t"}', "line one\nline two\t"),  # line breaks that are not escaped
        ('{"code": "print(1)"} and so on', "print(1)"),
        ('{"code": "print(1)', "print(1)"),  # cut by a token limit
        (CODE, CODE),
        ("{1, 2} | {3}", "{1, 2} | {3}"),
        ('{"a", "b"}', '{"a", "b"}'),
        ('"""What it does."""\nprint(1)', '"""What it does."""\nprint(1)'),
        ("[n for n in range(3)]", "[n for n in range(3)]"),
        ("", ""),
        ("{}", ""),
        ('{"code": ""}', ""),
        ('{"code": null}', ""),
        ('{"a": 1}', ""),
        ('{"co', ""),
        ('{"code": "a\\u0000b\\ud800"}', "a\ufffdb\ufffd"),
        ("print('\0')", "print('\ufffd')"),
        ('{"code of conduct": "be kind", "code": "print(1)"}', "print(1)"),
        ('{"code": {"code": ""}, "last": "print(1)"}', "print(1)"),
    ],
)
def test_whatever_a_model_writes(arguments: str, code: str) -> None:
    assert whole(arguments) == code
    assert whole(*arguments) == code


PIECES = [
    '{"code": "',
    '"',
    "{",
    "}",
    ":",
    ",",
    "\\",
    "\\n",
    "\\u00e9",
    "code",
    "input",
    " ",
    "\n",
    "print(1)",
    "[",
    "é",
]
arguments = st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map("".join))


@given(arguments, st.lists(st.integers(0, 10_000), max_size=20))
def test_how_the_arguments_are_cut_makes_no_difference(text: str, cuts: list[int]) -> None:
    assert whole(*cut(text, cuts)) == whole(text)


@given(
    st.text(),
    st.dictionaries(st.text(), st.recursive(st.text() | st.integers() | st.none(), st.lists)),
    st.lists(st.integers(0, 10_000), max_size=20),
    st.booleans(),
)
def test_code_is_found_between_other_members(
    code: str, others: dict[str, object], cuts: list[int], ascii: bool
) -> None:
    for key in ("code", "input", "source", "python", "script"):
        others.pop(key, None)
    text = json.dumps({**others, "code": code}, ensure_ascii=ascii)
    assert whole(*cut(text, cuts)) == keepable(code)


@given(st.text())
def test_what_comes_out_can_be_kept(text: str) -> None:
    assert keepable(whole(text)) == whole(text)


@pytest.mark.parametrize(
    ("written", "run"),
    [
        ("print(1)", "print(1)"),
        ("```python\nprint(1)\n```", "print(1)"),
        ("\n```py\nif a:\n    b\n```\n", "if a:\n    b"),
        ("```\nprint(1)```", "print(1)"),
        ("print('```')", "print('```')"),
        ("```python\nprint(1)", "```python\nprint(1)"),
        ("print(1)\n```", "print(1)\n```"),
        ("```print(1)```", "```print(1)```"),
        ("``` python\nprint(1)\n```", "``` python\nprint(1)\n```"),
        ("```python \t\n\n  print(1)\n\n  ``` \n", "\n  print(1)\n"),
        ("```\nprint(1)  ```", "print(1)"),
        ("```\nprint(1)\n````", "print(1)\n`"),
        ("```\n```", ""),
        ("```\n", "```\n"),
        ("```", "```"),
    ],
)
def test_a_fence_is_not_run(written: str, run: str) -> None:
    assert runnable(written) == run


@pytest.mark.parametrize(
    "written",
    [
        "```python\n" + " " * 5_000_000 + "x",
        "```" + "a" * 5_000_000,
        "```" + " " * 5_000_000,
        "```\n" * 2_000_000 + "x",
    ],
    ids=["blanks", "word", "blanks of the first line", "fences"],
)
def test_what_is_no_fence_is_read_once(written: str) -> None:
    assert runnable(written) == written  # a test that does not end is what a quadratic search would look like


def test_what_is_nested_is_looked_at_once() -> None:
    def nested(levels: int) -> str:
        return '{"code":' * levels + json.dumps({f"key {n}": 0 for n in range(1_000)}) + "}" * levels

    assert steps(lambda: whole(nested(7))) < 1.1 * steps(lambda: whole(nested(1)))
