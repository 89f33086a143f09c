"""Calls an old SDK in its own environment, for tests that run with today's.

    python caller.py BASE_URL KEY

A line in is a call, as JSON: `method`, such as `beta.threads.messages.list`; `args`; `kwargs`; and `each`, if a list
is to be iterated as this SDK does it. A line out is what came of it: `value`; `refusal`, with the error of the
server that was raised; or `fault`, with another's traceback.
"""

from __future__ import annotations

import json
import sys
import traceback
from functools import reduce
from typing import Any

import openai


def call(client: openai.OpenAI, order: dict[str, Any]) -> Any:
    method = reduce(getattr, order["method"].split("."), client)
    answer: Any = method(*order["args"], **order["kwargs"])
    if order["each"]:
        return [shown(item) for item in answer]
    return shown(answer)


def shown(answer: Any) -> Any:
    return json.loads(answer.model_dump_json())


def main() -> None:
    client = openai.OpenAI(base_url=sys.argv[1], api_key=sys.argv[2], max_retries=0)
    for line in sys.stdin:
        try:
            came = {"value": call(client, json.loads(line))}
        except openai.APIStatusError as error:
            came = {"refusal": {"kind": type(error).__name__, "status": error.status_code, **error.response.json()}}
        except Exception:
            came = {"fault": traceback.format_exc()}
        sys.stdout.write(json.dumps(came) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
