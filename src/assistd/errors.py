"""The one kind of error a client sees, and the texts clients match on.

Every refusal is an `APIError`; the door (`web`) turns it into the envelope
`{"error": {"message", "type", "param", "code"}}`. Texts and codes are those of
the original service, because client code compares them; where they sent people to
its own pages, they begin as they did there and end with what helps here. What the
files' endpoints refuse has a sibling, `"detail": {"message", "code"}`, as it had there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# Characters of a text. A request's head has 16,000 at most in most programs, so that ids in paths are shown whole.
_LONGEST = 20_000


class APIError(Exception):
    """A request that cannot be served: HTTP status, text, and what it is about."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
        detail: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = _shortened(message)
        self.status = status
        self.type = type
        self.param = None if param is None else _shortened(param)
        self.code = code
        self.headers = headers or {}
        self.detail = detail


def _shortened(text: str) -> str:
    """Cut what a text says of a request in the middle: clients may send megabytes, and nobody reads them."""
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]} ... {text[-half:]}"


# --- 404: things that are not there, or belong to another project


def not_found(noun: str, id: str) -> APIError:
    """`noun` is how the service calls the object: assistant, thread, message, run, run step."""
    return APIError(f"No {noun} found with id '{id}'.", status=404)


def unknown_url(method: str, path: str) -> APIError:
    return APIError(f"Invalid URL ({method} {path})", status=404)


def wrong_method(method: str, path: str, allowed: Iterable[str]) -> APIError:
    return APIError(
        f"Not allowed to {method} on {path}.",
        status=405,
        code="method_not_supported",
        headers={"allow": ", ".join(sorted(allowed))},
    )


def no_such_file(id: str) -> APIError:
    return APIError(f"No such File object: {id}", status=404, param="id", detail=True)


def no_such_model(name: str) -> APIError:
    return APIError(f"The model '{name}' does not exist", status=404, param="model", code="model_not_found")


# --- 401 and the version header


def no_api_key() -> APIError:
    return APIError(
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
        "(i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing "
        "the API from your browser and are prompted for a username and password. You can obtain an API key from "
        "whoever runs this server: `assistd keys create NAME` makes one. Before the first one is made, any text will "
        "do.",
        status=401,
    )


def wrong_api_key(key: str) -> APIError:
    masked = key if len(key) < 12 else f"{key[:8]}{'*' * (len(key) - 12)}{key[-4:]}"
    return APIError(
        f"Incorrect API key provided: {masked}. You can find your API key with whoever runs this server: "
        "`assistd keys list` shows which keys are valid, `assistd keys create NAME` makes a new one.",
        status=401,
        code="invalid_api_key",
    )


def too_many_wrong_keys(seconds: int) -> APIError:
    """`seconds` until another one is looked at."""
    return APIError(
        "Too many wrong API keys came from your address. Please check your key, and try again soon.",
        status=429,
        type="requests",
        code="rate_limit_exceeded",
        headers={"retry-after": str(seconds)},
    )


def revoked_api_key() -> APIError:
    """For what was under way when the key was revoked."""
    return APIError("The API key of this request was revoked.", status=401, code="invalid_api_key")


def password_of_another_page(origin: str) -> APIError:
    return APIError(
        f"This request was sent by a page of '{origin}', with a password that the browser keeps for this server. Pages "
        "of other hosts send the key in an Authorization header using Bearer auth.",
        status=403,
    )


def no_key_yet(name: str) -> APIError:
    """`name` is where the request comes from."""
    return APIError(
        "No API key was created on this server yet, so it serves the programs and pages of its own machine only, and "
        f"this request is of '{name}'. Create a key with `assistd keys create NAME`, and send that.",
        status=403,
        code="no_api_key_created",
    )


def no_beta_header() -> APIError:
    return APIError(
        "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by setting the "
        "header 'OpenAI-Beta: assistants=v2'.",
        code="invalid_beta",
    )


def v1_not_served() -> APIError:
    return APIError(
        "The v1 Assistants API has been deprecated. Please try again by setting the header "
        "'OpenAI-Beta: assistants=v2'.",
        code="invalid_beta",
    )


# --- 400: the request as a whole


def wrong_id(param: str, value: str, prefix: str) -> APIError:
    return APIError(
        f"Invalid '{param}': '{value}'. Expected an ID that begins with '{prefix}'.", param=param, code="invalid_value"
    )


def broken_json(detail: str) -> APIError:
    return APIError(f"We could not parse the JSON body of your request: {detail}")


def body_too_large(limit: int) -> APIError:
    return APIError(f"The request body is too large: at most {limit} bytes are accepted.", status=413)


def nested_too_deeply() -> APIError:
    return broken_json("it is nested too deeply.")


def body_too_heavy() -> APIError:
    return APIError(
        "The request body has too many values to be decoded in one go. Send them in several requests.", status=413
    )


def gone() -> APIError:
    """For the log: nobody is there to read it."""
    return APIError("The client closed the connection before its request was complete.")


def body_too_slow(pause: int, least: int) -> APIError:
    """`pause` in seconds, `least` in bytes per second."""
    return APIError(
        f"The request body did not arrive in time: a client may pause for {pause} seconds, and must send at least "
        f"{least} bytes per second otherwise.",
        status=408,
    )


def upload_too_slow() -> APIError:
    return APIError("The file did not arrive in time.", status=408)


# --- 400 and 413: files and uploads


def missing(param: str) -> APIError:
    return APIError(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def unknown_param(param: str) -> APIError:
    return APIError(f"Unknown parameter: '{param}'.", param=param, code="unknown_parameter")


def broken_form(detail: str) -> APIError:
    return APIError(f"We could not parse the multipart form of your request: {detail}")


def no_form() -> APIError:
    return APIError("Invalid content type. Expected a body of type 'multipart/form-data'.", code="invalid_content_type")


def wrong_filename(param: str, reason: str) -> APIError:
    return APIError(f"Invalid '{param}': {reason}", param=param, code="invalid_value")


def wrong_purpose(value: str, purposes: Sequence[str]) -> APIError:
    return APIError(f"'{value}' is not one of {list(purposes)} - 'purpose'", param="purpose", detail=True)


def not_downloadable(purpose: str) -> APIError:
    return APIError(f"Not allowed to download files of purpose: {purpose}", detail=True)


def file_is_empty(param: str) -> APIError:
    return APIError("File is empty.", param=param, detail=True)


def file_too_large(param: str, limit: int) -> APIError:
    return APIError(f"The file is too large: at most {limit} bytes are accepted.", status=413, param=param, detail=True)


def files_not_found(ids: Sequence[str]) -> APIError:
    """For a request that names files: some are not there. Which field named them is not said, as it was not there."""
    return APIError(f"The following files were not found: {', '.join(ids)}", param="file_ids")


def takes_no_parts(status: str) -> APIError:
    return APIError(f"Cannot add parts to upload with status '{status}'.")


def cannot_complete_upload(status: str) -> APIError:
    return APIError(f"Cannot complete upload with status '{status}'.")


def cannot_cancel_upload(status: str) -> APIError:
    return APIError(f"Cannot cancel upload with status '{status}'.")


def parts_too_large(limit: int) -> APIError:
    return APIError(f"The parts of this upload are too large: at most {limit} bytes are accepted in total.")


def unknown_parts(upload_id: str, ids: Sequence[str]) -> APIError:
    named = ", ".join(f"'{id}'" for id in ids)
    return APIError(f"Invalid 'part_ids': no part {named} in upload '{upload_id}'.", param="part_ids")


def part_named_twice(id: str) -> APIError:
    return APIError(f"Invalid 'part_ids': '{id}' is named more than once.", param="part_ids", code="invalid_value")


def wrong_total(expected: int, got: int) -> APIError:
    return APIError(
        f"The parts have {got} bytes in total, but the upload was created for {expected} bytes.", param="part_ids"
    )


def wrong_md5(expected: str, got: str) -> APIError:
    return APIError(f"The content has the md5 checksum '{got}', expected was '{expected}'.", param="md5")


# --- 400: the state of a thread or run does not allow it


def thread_is_busy_for_messages(thread_id: str, run_id: str) -> APIError:
    return APIError(f"Can't add messages to {thread_id} while a run {run_id} is active.")


def thread_is_full(thread_id: str, most: int) -> APIError:
    return APIError(f"Can't add messages to {thread_id}: a thread has {most} messages at most.")


def thread_has_active_run(thread_id: str, run_id: str) -> APIError:
    return APIError(f"Thread {thread_id} already has an active run {run_id}.")


def nothing_to_run() -> APIError:
    return APIError(
        "Run creation requires a Thread with a user message or an assistant with instructions.", code="invalid_thread"
    )


def takes_no_outputs(status: str) -> APIError:
    return APIError(f'Runs in status "{status}" do not accept tool outputs.')


def wrong_outputs(expected: Sequence[str], got: Sequence[str]) -> APIError:
    return APIError(f"Expected tool outputs for call_ids {list(expected)}, got {list(got)}")


def cannot_cancel(status: str) -> APIError:
    return APIError(f"Cannot cancel run with status '{status}'.")


def cannot_update(status: str) -> APIError:
    return APIError(f"Cannot update run with status '{status}'.")


# --- 5xx


def internal(request_id: str) -> APIError:
    return APIError(
        "The server had an error processing your request. Sorry about that! You can retry your request, or contact "
        "whoever runs this server if you keep seeing this error. (Please include the request "
        f"ID {request_id}: the server's log says under it what went wrong.)",
        status=500,
        type="server_error",
    )


def overloaded(reason: str) -> APIError:
    return APIError(reason, status=503, type="server_error", headers={"retry-after": "1"})


def no_memory_for_bodies() -> APIError:
    return overloaded("The server holds as many large requests as it has memory for. Please try again soon.")
