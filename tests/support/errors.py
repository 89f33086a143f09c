"""What an error looks like. Every test that expects one asks here."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from tests.support.http import Answer

REQUEST_ID = re.compile(r"req_[0-9a-f]{32}")


@dataclass(frozen=True)
class Error:
    """An error that a request should be answered with."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    type: str = "invalid_request_error"
    detail: bool = False  # errors of files say the same once more beside the envelope

    def check(self, answer: Answer) -> None:
        """Fail unless the answer is this error, in the envelope and with the headers that errors have."""
        told = shape_of(answer)
        expected = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        assert (answer.status, told) == (self.status, expected), f"{answer.status} {told}\ninstead of {self}"
        assert ("detail" in answer.json) == self.detail, f"{answer.json}\ninstead of {self}"


def shape_of(answer: Answer) -> dict[str, str | None]:
    """Check the envelope and headers of any error, and return what it says."""
    assert 400 <= answer.status < 600, (answer.status, answer.body[:500])
    assert answer.headers["content-type"] == "application/json"
    assert REQUEST_ID.fullmatch(answer.headers["x-request-id"])
    body = answer.json
    # Pretty-printed, as the original's errors are; its other answers are not.
    assert answer.body.decode() == json.dumps(body, indent=2, ensure_ascii=False)
    assert list(body) in (["error"], ["error", "detail"])
    error: dict[str, str | None] = body["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert isinstance(error["message"], str)
    assert isinstance(error["type"], str)
    assert isinstance(error["param"], str | None)
    assert isinstance(error["code"], str | None)
    assert body.get("detail") in (None, {"message": error["message"], "code": error["code"]})
    return error
