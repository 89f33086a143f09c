"""The commands that run and end: help, migrate, keys, doctor."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import assistd as package
from assistd.cli import main
from assistd.db import migrate
from tests.cli.conftest import Refused
from tests.support.databases import EMPTY, new_database, query
from tests.support.http import Api
from tests.support.program import assistd
from tests.support.server import serve
from tests.support.waiting import eventually

COMMANDS = ("serve", "worker", "migrate", "keys", "models", "interpreter", "doctor")
TRUST_SECONDS = 10  # how long a server remembers a key that nobody tells it about
PENDING = "".join(f"pending: {migration.version:04} {migration.name}\n" for migration in migrate.shipped())
SCHEMA = f"{len(migrate.shipped()):04}"
TABLES = "SELECT count(*) AS n FROM pg_tables WHERE schemaname = 'public'"


# --- help


def helped(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_help_names_every_command(tmp_path: Path) -> None:
    done = assistd(tmp_path, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: assistd [-h] [--version] COMMAND ...\n\nassistd serves the Assistants API")
    for command in COMMANDS:
        assert re.search(rf"^    {command}\s+\w", done.stdout, re.MULTILINE), command


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("serve", ("--host", "--port", "--workers N", "--log-level", "--data-dir FOLDER")),
        ("worker", ("--log-level", "--data-dir FOLDER")),
        ("migrate", ("--dry-run", "--data-dir FOLDER")),
        ("keys", ("create", "list", "revoke")),
        ("keys create", ("name", "--project", "--data-dir FOLDER")),
        ("keys list", ("--data-dir FOLDER",)),
        ("keys revoke", ("id",)),
        ("models", ("pull", "list", "remove")),
        ("models pull", ("NAME|URL|FILE", "--sha256")),
        ("models list", ("--data-dir FOLDER",)),
        ("interpreter install", ("--data-dir FOLDER",)),
        ("doctor", ("--data-dir FOLDER",)),
    ],
)
def test_help_of_each_command(capsys: pytest.CaptureFixture[str], command: str, names: tuple[str, ...]) -> None:
    """Every option and argument has a line that says what it is; what is not for users is not shown."""
    shown = helped(capsys, *command.split())
    assert shown.startswith(f"usage: assistd {command}")
    for name in names:
        assert re.search(rf"^  +(-\w, )?{re.escape(name)}( \w+)?\s+\w", shown, re.MULTILINE), (name, shown)
    assert "--shared-port" not in shown
    assert "SUPPRESS" not in shown


def test_version(tmp_path: Path) -> None:
    done = assistd(tmp_path, "--version")
    assert (done.returncode, done.stdout) == (0, f"assistd {package.__version__}\n")


def test_the_package_runs_as_a_program(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "assistd", "--version"], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert (done.stdout, done.stderr) == (f"assistd {package.__version__}\n", "")
    wrong = subprocess.run([sys.executable, "-m", "assistd"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("usage: assistd")


def test_the_data_folder_is_an_option_of_every_command(tmp_path: Path, dsn: str) -> None:
    """It wins over the variable, and reaches the processes of `serve --workers`."""
    chosen = str(tmp_path / "chosen")
    assert assistd(tmp_path, "models", "list", "--data-dir", chosen).returncode == 0
    found = assistd(tmp_path, "doctor", "--data-dir", chosen, database_url=dsn, port=0, model_base_url="scripted:")
    assert f"ok     data folder: {chosen}\n" in found.stdout
    with serve(tmp_path, "--workers", "2", "--data-dir", "chosen", database_url=dsn) as server:
        assert Api(server.url).upload(b"x").status == 200
    assert len([path for path in (tmp_path / "chosen" / "blobs").rglob("*") if path.is_file()]) == 1
    assert not (tmp_path / "data").exists()


# --- migrate


def test_an_empty_database_is_migrated_on_demand(tmp_path: Path, postgres: str) -> None:
    with new_database(postgres, EMPTY) as dsn:
        pending = assistd(tmp_path, "migrate", "--dry-run", database_url=dsn)
        assert (pending.returncode, pending.stdout) == (0, PENDING)
        assert query(dsn, TABLES)[0]["n"] == 0
        done = assistd(tmp_path, "migrate", database_url=dsn)
        assert (done.returncode, done.stdout) == (0, PENDING + "The schema is up to date.\n")
        again = assistd(tmp_path, "migrate", database_url=dsn)
        assert (again.returncode, again.stdout) == (0, "The schema is up to date.\n")
        with serve(tmp_path, database_url=dsn) as server:
            assert Api(server.url).get("/assistants").status == 200


# --- keys


def test_a_key_is_shown_once_and_kept_hashed(tmp_path: Path, dsn: str, refused: Refused) -> None:
    created = assistd(tmp_path, "keys", "create", "night job", "--project", "reports", database_url=dsn)
    key = created.stdout.removesuffix("\n")
    assert re.fullmatch(r"sk-[\w-]{32}", key)
    assert created.stderr == ("This is the only time that the key is shown. Give it to clients as OPENAI_API_KEY.\n")
    (row,) = query(dsn, "SELECT k.*, p.name AS project FROM api_keys k JOIN projects p ON p.id = k.project_id")
    assert row["hash"] == hashlib.sha256(key.encode()).digest()
    assert (row["name"], row["project"], row["revoked_at"]) == ("night job", "reports", None)
    # No more of the key than its ends is kept anywhere in its row.
    assert row["hint"] == f"{key[:7]}...{key[-4:]}"
    assert not any(key[7:-4] in str(value) for value in row.values())

    listed = assistd(tmp_path, "keys", "list", database_url=dsn)
    (line,) = listed.stdout.splitlines()
    assert line.split()[:3] == [row["id"], row["hint"], "reports"]
    assert line.endswith("  valid     night job")

    revoked = assistd(tmp_path, "keys", "revoke", row["id"], database_url=dsn)
    assert (revoked.returncode, revoked.stdout) == (0, f"{row['id']} is revoked.\n")
    assert "  revoked   night job" in assistd(tmp_path, "keys", "list", database_url=dsn).stdout
    for id in (row["id"], "key_unknown"):
        assert refused("keys", "revoke", id, database_url=dsn) == f"there is no valid key {id}."


def test_two_keys_of_one_project_open_the_same_door(tmp_path: Path, dsn: str) -> None:
    ours, also_ours, theirs = (
        assistd(tmp_path, "keys", "create", "x", "--project", project, database_url=dsn).stdout.strip()
        for project in ("ours", "ours", "theirs")
    )
    assert len({ours, also_ours, theirs}) == 3
    with serve(tmp_path, database_url=dsn) as server:
        made = Api(server.url, ours).post("/threads").ok["id"]
        assert Api(server.url, also_ours).get(f"/threads/{made}").status == 200
        assert Api(server.url, theirs).get(f"/threads/{made}").status == 404


def test_no_keys(tmp_path: Path, dsn: str) -> None:
    done = assistd(tmp_path, "keys", "list", database_url=dsn)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "No keys. While there are none, any key is let in from this machine.\n"


def test_the_first_key_and_every_revocation_reach_a_running_server_at_once(tmp_path: Path, dsn: str) -> None:
    """That is, by word of the database: long before what the server remembers is out of date."""
    with serve(tmp_path, database_url=dsn) as server:
        assert '"any key is let in' in server.log.replace("yet: any", '"any')
        stranger = Api(server.url, "sk-anything")
        made = stranger.post("/threads").ok["id"]
        shut = time.monotonic()
        key = assistd(tmp_path, "keys", "create", "first", database_url=dsn).stdout.strip()
        eventually(lambda: stranger.get("/assistants").status == 401)
        shut = time.monotonic() - shut
        owner = Api(server.url, key)
        # What was made behind the open door belongs to the project that the first key opens.
        assert owner.get(f"/threads/{made}").status == 200

        (row,) = query(dsn, "SELECT id FROM api_keys")
        void = time.monotonic()
        assistd(tmp_path, "keys", "revoke", row["id"], database_url=dsn)
        eventually(lambda: owner.get(f"/threads/{made}").status == 401)
        void = time.monotonic() - void
        refusal = owner.get("/assistants").json["error"]
        assert refusal["code"] == "invalid_api_key"
        assert key not in refusal["message"]
        assert f"{key[:8]}{'*' * (len(key) - 12)}{key[-4:]}" in refusal["message"]
        # No key is left, and the door stays shut.
        assert stranger.get("/assistants").status == 401
    # On a machine so slow that both took as long as the memory lasts, nothing was shown; nothing is wrong either.
    assert min(shut, void) < TRUST_SECONDS


# --- doctor


@pytest.mark.usefixtures("interpreter")
def test_doctor_where_all_is_well(tmp_path: Path, dsn: str) -> None:
    done = assistd(tmp_path, "doctor", database_url=dsn, model_base_url="scripted:", port=0)
    assert (done.returncode, done.stderr) == (0, "")
    found = dict(re.findall(r"^ok     ([a-z ]+): (.+)$", done.stdout, re.MULTILINE))
    checks = ["program", "data folder", "database", "door", "port", "models", "files", "embeddings", "code interpreter"]
    assert list(found) == checks
    assert found["program"].startswith(f"assistd {package.__version__} on Python 3.")
    assert re.fullmatch(
        rf"PostgreSQL \S+ .*\(at ASSISTD_DATABASE_URL\), pgvector \S+, schema {SCHEMA}", found["database"]
    )
    assert found["door"] == "no API key exists: any key is let in, from this machine only"
    assert found["models"] == "the scripted model"
    assert found["files"] == str(tmp_path / "data" / "blobs")
    assert [path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file()] == []
    assert found["embeddings"] == "static vectors, computed here"
    assert found["code interpreter"].startswith("bubblewrap, with /")
    assert done.stdout.endswith("\nEverything is in order.\n")


def test_doctor_beside_a_running_server(tmp_path: Path, dsn: str) -> None:
    """Its port is taken, and by the right one; the model it is asked for answers."""
    assistd(tmp_path, "keys", "create", "x", database_url=dsn)
    with serve(tmp_path, database_url=dsn) as server:
        address = server.url.removeprefix("http://").removesuffix("/v1")
        settings = {"port": address.partition(":")[2], "model_base_url": server.url, "database_url": dsn}
        done = assistd(tmp_path, "doctor", **settings)
    assert f"ok     port: assistd is serving on {address}\n" in done.stdout
    assert "ok     door: 1 valid API keys\n" in done.stdout
    # That server, as the model of another, wants a key.
    assert f"AMISS  models: {address}, the route for *, refuses the key (status 401)\n" in done.stdout
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.endswith("\n1 of 9 checks found something.\n")


def test_doctor_where_everything_is_amiss(tmp_path: Path) -> None:
    """Each finding stands for itself: the first does not hide the others, and none is a stack trace."""
    done = assistd(
        tmp_path,
        "doctor",
        database_url="postgresql://127.0.0.1:9/none",
        data_dir="/dev/null/x",
        models_file="/nope.toml",
        host="192.0.2.1",
        embedding_model="none",
    )
    assert (done.returncode, done.stderr) == (1, "")
    found = dict(re.findall(r"^AMISS  ([a-z ]+): (.+)$", done.stdout, re.MULTILINE))
    assert list(found) == ["data folder", "database", "door", "port", "models", "files", "embeddings"]
    assert "ASSISTD_DATA_DIR" in found["data folder"]
    assert found["database"].startswith("it cannot be used: ")
    assert "(host 127.0.0.1, port 9, database none)" in found["database"]
    assert found["door"] == "which API keys there are is known once the database can be used."
    assert "ASSISTD_HOST" in found["port"]
    assert "/nope.toml" in found["models"]
    assert "/dev/null/x/blobs" in found["files"]
    assert "/nope.toml" in found["embeddings"]
    assert done.stdout.endswith("\n7 of 9 checks found something.\n")


def test_doctor_where_code_cannot_run_yet(tmp_path: Path, dsn: str) -> None:
    settings = {"database_url": dsn, "model_base_url": "scripted:", "port": 0, "interpreter_dir": tmp_path / "i"}
    unbuilt = assistd(tmp_path, "doctor", **settings)
    assert re.search(r"^ok     code interpreter: bubblewrap; .*`assistd interpreter install`$", unbuilt.stdout, re.M)
    off = assistd(tmp_path, "doctor", **settings, sandbox="off")
    assert "ok     code interpreter: off\n" in off.stdout


def test_doctor_where_new_vector_stores_could_not_embed(tmp_path: Path, dsn: str) -> None:
    route = tmp_path / "models.toml"
    route.write_text('[[routes]]\nnames = ["gpt-*"]\nbase_url = "http://127.0.0.1:9/v1"\n')
    settings = {"database_url": dsn, "port": 0, "embedding_model": "text-embedding-3-small"}
    for models, word in (({"models_file": str(route)}, "no route answers"), ({}, "ASSISTD_MODEL_BASE_URL")):
        done = assistd(tmp_path, "doctor", **settings, **models)
        assert re.search(rf"^AMISS  embeddings: .*{word}", done.stdout, re.MULTILINE), done.stdout
    bucket = assistd(tmp_path, "doctor", **settings, blob_url="ftp://x")
    assert re.search(r"^AMISS  files: .*ASSISTD_BLOB_URL.*ftp://x", bucket.stdout, re.MULTILINE)


def test_doctor_where_the_door_and_the_schema_are_amiss(tmp_path: Path, dsn: str, postgres: str) -> None:
    open_door = assistd(tmp_path, "doctor", database_url=dsn, model_base_url="scripted:", port=0, host="0.0.0.0")
    assert re.search(
        r"^AMISS  door: .* serve refuses 0\.0\.0\.0; run `assistd keys create NAME`$", open_door.stdout, re.M
    )
    with new_database(postgres, EMPTY) as empty:
        old = assistd(tmp_path, "doctor", database_url=empty, model_base_url="http://127.0.0.1:9/v1", port=0)
    assert re.search(r"^AMISS  database: .*run `assistd migrate`\.$", old.stdout, re.MULTILINE)
    # What is amiss with the database is told once.
    assert old.stdout.count("assistd migrate") == 1
    assert re.search(r"^AMISS  models: 127\.0\.0\.1:9, the route for \*, does not answer: ", old.stdout, re.MULTILINE)


# --- interpreter


@pytest.mark.usefixtures("interpreter")
def test_installing_the_interpreter_again_says_where_it_is(tmp_path: Path) -> None:
    done = assistd(tmp_path, "interpreter", "install")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"/\S+/python-3\.\S+ is ready: \d{3} MB\.\n", done.stdout)


def test_an_interpreter_that_cannot_be_installed(tmp_path: Path) -> None:
    done = assistd(tmp_path, "interpreter", "install", interpreter_dir="/dev/null/x")
    said = "assistd: The code interpreter could not be built: /dev/null/x: Not a directory.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)
