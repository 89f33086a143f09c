"""Every operation of vector stores once, with a plain client, with empty lists and refusals on the way."""

from __future__ import annotations

from tests.support.http import Api
from tests.support.waiting import eventually


def walk_vector_stores(api: Api, file_id: str) -> None:
    """Call every operation on new stores; `file_id` is that of a text."""
    store = api.post("/vector_stores", {"metadata": {"a": "1"}}).ok["id"]
    path = f"/vector_stores/{store}"
    for empty in (f"{path}/files", f"/vector_stores?order=asc&after={api.get('/vector_stores').ok['first_id']}"):
        assert api.get(empty).ok["data"] == []
    assert api.post(path, {"name": "N", "expires_after": {"anchor": "last_active_at", "days": 1}}).ok
    assert api.get(path).ok
    assert api.post(f"{path}/files", {"file_id": file_id, "attributes": {"a": 1, "b": True}}).ok
    eventually(lambda: api.get(f"{path}/files/{file_id}").ok["status"] == "completed")
    assert api.post(f"{path}/files/{file_id}", {"attributes": {"c": "d"}}).ok
    assert api.get(f"{path}/files/{file_id}/content").ok["data"]
    assert api.get(f"{path}/files?filter=completed").ok["data"]
    assert api.post(f"{path}/search", {"query": "anything"}).ok["data"]
    batch = f"{path}/file_batches/{api.post(f'{path}/file_batches', {'file_ids': [file_id]}).ok['id']}"
    assert api.get(batch).ok
    assert api.get(f"{batch}/files").ok["data"]
    assert api.post(f"{batch}/cancel").ok
    assert api.delete(f"{path}/files/{file_id}").ok
    assert api.get(f"{path}/files/{file_id}").status == 404
    assert api.delete(path).ok
    assert api.get(path).status == 404
    assert api.post("/vector_stores", {"file_ids": ["file-none"]}).status == 400
