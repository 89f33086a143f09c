"""The files of a message as objects of their own. Pure: nothing in this file does I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assistd import errors
from assistd.errors import APIError
from assistd.v1.answers import message_file_ids
from assistd.v1.wire import MessageFile
from assistd.web.wire import ListOf, Page, is_backward, page_of


def get(message: Mapping[str, Any], file_id: str) -> MessageFile:
    """Return a file of a v2 message. Raises APIError (404) for one that it has not."""
    if file_id not in message_file_ids(message):
        raise APIError(f"No file found with id '{file_id}' in message '{message['id']}'.", status=404)
    return _file(message, file_id)


def list_page(message: Mapping[str, Any], page: Page) -> ListOf[MessageFile]:
    """List the files of a v2 message in the order in which it names them. Raises APIError (404) for a wrong cursor."""
    ids = message_file_ids(message)
    for cursor in (page.after, page.before):
        if cursor is not None and cursor not in ids:
            raise errors.not_found("file", cursor)
    if page.order == "desc":
        ids.reverse()
    first = 0 if page.after is None else ids.index(page.after) + 1
    last = len(ids) if page.before is None else ids.index(page.before)
    wanted = ids[first:last]
    if is_backward(page):
        wanted.reverse()
    return page_of([_file(message, id) for id in wanted[: page.limit + 1]], page)


def _file(message: Mapping[str, Any], file_id: str) -> MessageFile:
    return MessageFile(id=file_id, created_at=message["created_at"], message_id=message["id"])
