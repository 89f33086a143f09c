"""What a database URL names: host, port and database, for the sentences that speak of it. Never the password."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True)
class Address:
    """Where a database is: several hosts are separated by commas, a folder holds a Unix socket."""

    host: str
    port: str
    database: str

    def __str__(self) -> str:
        return f"host {self.host}, port {self.port}, database {self.database}"


def address_of(url: str, environ: Mapping[str, str]) -> Address:
    """What a URL names, completed as libpq and asyncpg do it: by PGHOST, PGPORT and PGDATABASE, then by defaults."""
    parts = urlsplit(url)
    user, _, places = parts.netloc.rpartition("@")
    hosts, ports = zip(*map(_split, places.split(",")), strict=True)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    name = query.get("user") or unquote(user.partition(":")[0]) or environ.get("PGUSER", "")
    host = ",".join(filter(None, hosts)) or query.get("host") or environ.get("PGHOST") or "localhost"
    port = ",".join(filter(None, ports)) or query.get("port") or environ.get("PGPORT") or "5432"
    database = unquote(parts.path.lstrip("/")) or query.get("dbname") or query.get("database")
    return Address(host, port, database or environ.get("PGDATABASE") or name or "of the user's name")


def _split(place: str) -> tuple[str, str]:
    """Host and port of `host:port`, `[address]:port` or a host alone."""
    host, colon, port = place.rpartition(":")
    if not colon or port.endswith("]"):
        return unquote(place), ""
    return unquote(host), port
