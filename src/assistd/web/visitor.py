"""Whose request it is, where no key tells: a program's or page's of this machine, or a page's of somewhere else.

Any site can have its visitors' browsers send requests to their own machines, and by giving its own name such an
address (DNS rebinding) it even passes for the page of this server. But the browser says which name it went by, in
`Host`, and which page asked, in `Origin`; no page can change either.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import urlsplit


def stranger(headers: Mapping[str, str]) -> str | None:
    """Return the name of the other place that a request comes from or went by; None for one of this machine's own.

    Programs send no `Origin`, and some of them no `Host` or an empty one; browsers name what they call. `headers`
    have their names in lower case.
    """
    host, origin = headers.get("host", ""), headers.get("origin")
    if host and not _is_own(host):
        return host
    if origin is not None and not _is_page_of(origin, host):
        return origin
    return None


def other_page(headers: Mapping[str, str]) -> str | None:
    """Return the origin of the page that sent a request, where that is not this server's own; None for programs."""
    origin = headers.get("origin")
    return None if origin is None or origin.partition("://")[2] == headers.get("host", "") else origin


class Proxies:
    """The networks of proxies whose word about their clients is taken."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = [ipaddress.ip_network(network, strict=False) for network in networks]

    def client_of(self, peer: str, headers: Mapping[str, str]) -> str:
        """Return the address that a request comes from.

        Each proxy adds to `X-Forwarded-For` whom it was called by: from the end, the first that is no proxy of ours.
        """
        found = peer
        named = headers.get("x-forwarded-for", "").split(",") if self._networks else []
        while named and self._trusts(found) and _address(named[-1].strip()):
            found = named.pop().strip()
        return found

    def _trusts(self, address: str) -> bool:
        parsed = _address(address)
        return parsed is not None and any(parsed in network for network in self._networks)


@lru_cache(maxsize=1000)
def _is_own(authority: str) -> bool:
    """Say whether a server is called by an address, or by a name that nobody can give to an address of theirs."""
    name = _name_of(authority)
    return _address(name) is not None or _is_local_name(name)


@lru_cache(maxsize=1000)
def _is_page_of(origin: str, host: str) -> bool:
    """Say whether a page is this server's, or any other server's of this machine."""
    scheme, _, authority = origin.partition("://")
    if scheme not in ("http", "https") or not authority:
        return False  # `null`: a file, or a frame that hides where it is from
    if authority == host:
        return True
    name = _name_of(authority)
    address = _address(name)
    return _is_local_name(name) if address is None else address.is_loopback


def _is_local_name(name: str) -> bool:
    # `.internal` is no domain of the public net: containers call their host by a name in it.
    return name == "localhost" or name.endswith((".localhost", ".internal"))


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _name_of(authority: str) -> str:
    """Return the host of `host:port`, or nothing for what is none."""
    try:
        return (urlsplit(f"//{authority}").hostname or "").removesuffix(".")
    except ValueError:
        return ""
