"""The system user that runs PostgreSQL where assistd itself runs as root.

PostgreSQL refuses to run as root. Then it runs as the owner of its data folder, or for a new
folder as the user `pgserver`, which is created when missing, and which must be able to pass
through every folder above the data and above PostgreSQL's own programs.
"""

from __future__ import annotations

import logging
import os
import pwd
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from assistd.user_errors import UserError

_NAME = "pgserver"
_log = logging.getLogger(__name__)


class EmbeddedError(UserError):
    """The embedded PostgreSQL cannot run; the message says why and what would help."""


@dataclass(frozen=True)
class Account:
    """A system user: name, and numeric ids of the user and its primary group."""

    name: str
    uid: int
    gid: int


def server_account(folder: Path) -> Account | None:
    """The account to run the server of `folder` as; None for the one this process has already.

    Raises EmbeddedError when the folder is somebody else's, or a user is needed and cannot be created.
    """
    owner = folder.stat().st_uid if folder.exists() else None
    me = os.geteuid()
    if me != 0:
        if owner is not None and owner != me:
            raise EmbeddedError(
                f"{folder} belongs to the system user {_user_name(owner)}, and assistd runs as {_user_name(me)}. "
                f"Run assistd as the user that created it, or set ASSISTD_DATA_DIR to another folder."
            )
        return None
    entry = pwd.getpwuid(owner) if owner else _find_or_create()
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def let_through(path: Path, account: Account) -> None:
    """Let the account reach `path`: add the one missing "may pass" bit to each folder above it.

    Passing is not listing: others learn nothing of what a folder holds. Raises EmbeddedError where
    the bit cannot be set.
    """
    for folder in reversed(path.resolve().parents):
        status = folder.stat()
        if missing := _passing_bit(status, account):
            _add_bits(folder, status, missing, account)
            _log.warning("%s may now be passed through (not listed) by the system user %s.", folder, account.name)


def let_read(tree: Path, account: Account) -> None:
    """Let the account read and run the programs below `tree`, which a strict umask may have hidden.

    What the owner may read or run, everybody may then. Raises EmbeddedError where that cannot be set.
    """
    let_through(tree, account)
    if tree.stat().st_mode & stat.S_IXOTH and (tree / "bin" / "postgres").stat().st_mode & stat.S_IXOTH:
        return
    for path in (tree, *tree.rglob("*")):
        status = path.stat()
        owners = status.st_mode & (stat.S_IRUSR | stat.S_IXUSR)
        _add_bits(path, status, owners >> 3 | owners >> 6, account)


def _add_bits(path: Path, status: os.stat_result, bits: int, account: Account) -> None:
    try:
        path.chmod(stat.S_IMODE(status.st_mode) | bits)
    except OSError as fault:
        raise EmbeddedError(
            f"PostgreSQL runs as the system user {account.name}, which needs to get through {path}, and this could not "
            f"be allowed ({fault.strerror}). Do it with `chmod o+x {path}`, use a folder that every user can reach, or "
            f"set ASSISTD_DATABASE_URL."
        ) from fault


def _passing_bit(status: os.stat_result, account: Account) -> int:
    """The permission bit that keeps the account out of a folder, or 0."""
    if status.st_uid == account.uid:
        bit = stat.S_IXUSR
    elif status.st_gid == account.gid:
        bit = stat.S_IXGRP
    else:
        bit = stat.S_IXOTH
    return bit & ~status.st_mode


def _find_or_create() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(_NAME)
    except KeyError:
        pass
    try:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _NAME]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        reason = made.stderr.strip()
    except OSError as fault:
        reason = str(fault)
    try:
        found = pwd.getpwnam(_NAME)  # also when another process was faster
        _log.warning(
            "The system user %s was made, because PostgreSQL does not run as root. `userdel %s` removes it, once "
            "assistd is gone; ASSISTD_DATABASE_URL does without the embedded PostgreSQL.",
            _NAME,
            _NAME,
        )
        return found
    except KeyError:
        raise EmbeddedError(
            f"PostgreSQL does not run as root, and the system user {_NAME} could not be created ({reason}). "
            f"Create it, run assistd as another user than root, or set ASSISTD_DATABASE_URL."
        ) from None


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
