"""Web addresses of ECG files: without what is secret in them, and connections to public hosts only where that is asked for."""

import ipaddress
import os
import re
import socket
import ssl
from http.client import HTTPConnection, HTTPSConnection
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from .ecg_recording_etp import EcgUnsafeError

PRIVATE_ADDRESSES_VARIABLE = "ETP_ALLOW_PRIVATE_ADDRESSES"

# What the standard library counts as public, or did not know yet, and is not.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in ("168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "3fff::/20", "2001::/23", "2002::/16")
)
_PUBLIC_IPV6 = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # an IPv4 address is in the last 32 bits
_LOGIN = re.compile(r"(?<=://)[^/?#\s]*@")
_SECRET_PARAMETER = re.compile(
    r"((?:^|[?&;])[^=&;#\s]*(?:pass|pwd|secret|token|sig|key|auth|credential|session)[^=&;#\s]*=)[^&;#\s]*",
    re.IGNORECASE,
)


def allows_private_addresses(stated: bool | None) -> bool:
    """What was stated, else what the variable `ETP_ALLOW_PRIVATE_ADDRESSES` says: yes, unless it is 0, false or no."""
    if stated is not None:
        return stated
    return os.environ.get(PRIVATE_ADDRESSES_VARIABLE, "1").strip().lower() not in ("0", "false", "no", "off")


def printable_url(url: str) -> str:
    """A URL without user and password, and without the values of query parameters that are secret by their name.

    Example:
        >>> printable_url("https://ann:pw@example.org/1.hea?token=abc&record=1")
        'https://example.org/1.hea?token=***&record=1'
    """
    scheme, separator, rest = url.partition("://")
    host = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    if "@" in host:
        rest = rest[host.rindex("@") + 1 :]
    elif not re.fullmatch(r"\[[^\]]*\]|[^:]*", host):  # what looks like a port may be a password with a "/" in it
        rest = rest[rest.rfind("@") + 1 :]
    return without_secrets(scheme + separator + rest)


def without_secrets(text: str) -> str:
    """A text, e.g. of an error, without what is secret in the URLs that it holds; see `printable_url`."""
    return _SECRET_PARAMETER.sub(r"\1***", _LOGIN.sub("", text))


def without_login(url: str) -> tuple[str, tuple[str, str] | None]:
    """A URL without the user and password in it, and these two.

    Raises:
        ValueError: If it is no URL.
    """
    parts: SplitResult = urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = login.partition(":")
    return urlunsplit(parts._replace(netloc=host)), (unquote(user), unquote(password))


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet: not private, loopback, link-local, multicast, reserved, of a
    cloud's metadata, nor a wrapping of such a one in IPv6."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        if ip not in _PUBLIC_IPV6:
            return False
    outside = any(ip.version == network.version and ip in network for network in _NOT_PUBLIC)
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not outside


def connect_to_public(host: str, port: int, timeout: float | None) -> socket.socket:
    """Connect to a host all of whose addresses are public.

    It is resolved once, and what was checked is what is connected to: another answer of the name server a moment later
    changes nothing.

    Raises:
        EcgUnsafeError: If an address isn't public.
        OSError: If the host can't be reached.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for *_, address in found:
        if not is_public(str(address[0])):
            raise EcgUnsafeError(
                host,
                f"its address {address[0]} is not one of the public internet, and others are not allowed here. Download "
                f"the file and pass its path, or allow private addresses by {PRIVATE_ADDRESSES_VARIABLE}=1 in the "
                "environment; of one call, by `allow_private_addresses=True`.",
            )
    problem: OSError | None = None
    for family, kind, protocol, _, address in found:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(timeout)
            connection.connect(address)
        except OSError as error:
            connection.close()
            problem = error
        else:
            return connection
    raise problem or OSError(f"{host} has no address")


class PublicHTTPConnection(HTTPConnection):
    """A connection to a public host."""

    def connect(self) -> None:
        self.sock = connect_to_public(self.host, self.port, self.timeout)


class PublicHTTPSConnection(HTTPSConnection):
    """An encrypted connection to a public host."""

    def connect(self) -> None:
        connection = connect_to_public(self.host, self.port, self.timeout)
        try:
            self.sock = ssl.create_default_context().wrap_socket(connection, server_hostname=self.host)
        except OSError:
            connection.close()
            raise


__all__ = [
    "PRIVATE_ADDRESSES_VARIABLE",
    "PublicHTTPConnection",
    "PublicHTTPSConnection",
    "allows_private_addresses",
    "connect_to_public",
    "is_public",
    "printable_url",
    "without_login",
    "without_secrets",
]
