"""Identifiers: a prefix that names the kind of object, then 24 base62 characters.

Form and length are those of the original service (`asst_`, `thread_`, `msg_`,
`run_`, `step_`, `call_`, `file-`), so that code which checks them goes on working. Files had 22 characters in the
service's last year and 24 before: clients of v1 know the longer ones, and those of v2 know both.
"""

from __future__ import annotations

import os
import re

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LENGTH = 24
# 62**24 is just below 2**143: 18 random bytes cover it, and the modulo's bias is far below one in a million.
_SPACE = 62**_LENGTH
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")


def new(prefix: str, length: int = _LENGTH) -> str:
    """Make a fresh random id, for example `new("run_")`. `length`: characters after the prefix, at most 24."""
    number = int.from_bytes(os.urandom(18), "big") % _SPACE
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return prefix + "".join(digits)


def request_id() -> str:
    """Make the id of one HTTP request: `req_` and 32 hexadecimal digits."""
    return "req_" + os.urandom(16).hex()


def is_plain(value: str) -> bool:
    """Say whether a string could be an id at all: letters, digits, `_` and `-`, at most 128 of them."""
    return _PLAIN.match(value) is not None
