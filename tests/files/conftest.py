"""One real server for a module's tests, with a database and a blob folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.files.s3 import S3, s3_server
from tests.support.databases import new_database
from tests.support.http import KEY, Api
from tests.support.server import Server, serve


@pytest.fixture(scope="module")
def dsn(postgres: str) -> Iterator[str]:
    with new_database(postgres) as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def blob_folder(folder: Path) -> Path:
    return folder / "data" / "blobs"


@pytest.fixture(scope="module")
def server(folder: Path, dsn: str) -> Iterator[Server]:
    with serve(folder, database_url=dsn) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: Server) -> Api:
    return Api(server.url)


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url, api_key=KEY, max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running
