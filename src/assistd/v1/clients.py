"""What a client of v1 knows. The wire of v1 grew while it lived, and an SDK prints whatever it does not know, too.

So each is sent what the service sent when that SDK was published; the numbers are those of the first releases of
the official SDKs whose types name a field. A client that does not say what it is gets all that v1 came to have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

_VERSION = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})")

_USAGE = {"python": (1, 9, 0), "js": (4, 25, 0)}  # January 2024
_MESSAGE_STATUS = {"python": (1, 14, 0), "js": (4, 29, 0)}  # March 2024, with streaming
_TEMPERATURE = {"python": (1, 16, 0), "js": (4, 31, 0)}  # the same month
_LIMITS = {"python": (1, 18, 0), "js": (4, 34, 0)}  # April 2024

# Characters of a message, or of instructions: in November 2023, and in the last months of v1.
SHORT, LONG = 32_768, 256_000


class Client(msgspec.Struct, frozen=True):
    """Which of the fields that came later a client is sent, and how long its texts may be, in characters.

    `limits` stands for the token limits of runs and all that came with them: truncation, tool choice, formats.
    """

    usage: bool = True
    message_status: bool = True
    temperature: bool = True
    limits: bool = True
    longest_text: int = SHORT


def client_of(headers: Mapping[str, str]) -> Client:
    """Tell from a request's headers (names in small letters) what its client knows."""
    language = headers.get("x-stainless-lang", "")
    version = _VERSION.match(headers.get("x-stainless-package-version", ""))
    if version is None or language not in _USAGE:
        return Client()
    number = tuple(map(int, version.groups()))
    late = number >= _LIMITS[language]
    return Client(
        usage=number >= _USAGE[language],
        message_status=number >= _MESSAGE_STATUS[language],
        temperature=number >= _TEMPERATURE[language],
        limits=late,
        longest_text=LONG if late else SHORT,
    )
