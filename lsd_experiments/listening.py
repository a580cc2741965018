"""Where this software listens: on one address, which is this machine's."""

import ipaddress
import socket

from lsd_experiments.errors import UserError

REMEDY = "Name the one address of this machine that is meant"

def resolve(host: str, key: str) -> tuple[socket.AddressFamily, str]:
    """The family and the numeric address that ``host``, a name or an address of this machine, stands for.

    All spellings count by what they stand for: ``0x0``, ``00.0.0.0``, ``0`` and ``::ffff:0.0.0.0`` are all of the machine's
    addresses, as ``0.0.0.0`` is.

    :param key: what messages call it
    :raises UserError: if it cannot be resolved, or is no one address: all of them, multicast or broadcast
    """
    shown = f"{key} = {ascii(host)[1:-1]}" if host else f"{key} is empty"
    if not host.isascii() or not host.isprintable() or " " in host or not host or "*" in host:
        raise UserError(f"{shown}: neither a name nor an address. {REMEDY}")
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        port = ", and no port: any that is free is taken" if ":" in host and host.count(":") == 1 else ""
        raise UserError(f"{shown} cannot be resolved ({getattr(error, 'strerror', None) or error}). {REMEDY}{port}") from error
    places = [(family, str(place[0])) for family, _, _, _, place in found
              if family in (socket.AF_INET, socket.AF_INET6)]
    for family, address in places:
        what = _not_one(address)
        if what:
            raise UserError(f"{shown} stands for {what}. {REMEDY}")
        if family == socket.AF_INET and _is_broadcast(address):
            raise UserError(f"{shown} stands for a broadcast. {REMEDY}")
    if not places:
        raise UserError(f"{shown} has no address of the internet protocols. {REMEDY}")
    family, address = min(places, key=lambda place: place[0] != socket.AF_INET)  # of a name with both, the older kind
    return family, address


def listen(host: str, port: int = 0, key: str = "host") -> socket.socket:
    """A socket that listens on ``host``, see :func:`resolve`, and on no other address.

    :raises UserError: if that is not one address of this machine
    """
    family, address = resolve(host, key)
    try:
        return socket.create_server((address, port), family=family, backlog=1024)
    except OSError as error:
        raise UserError(f"{key} = {host} is no address of this machine ({error.strerror}). Name one that the "
                        "workers' machines reach, or leave it out") from error


def _not_one(text: str) -> str | None:
    """What ``text`` stands for, if it is not one machine's address."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    if address.is_unspecified or address in ipaddress.ip_network("0.0.0.0/8"):
        return "all addresses of this machine"
    if address.is_multicast:
        return "a multicast group"
    return None


def _is_broadcast(address: str) -> bool:
    """Whether the kernel takes ``address`` for one, as 127.255.255.255 is; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except PermissionError:
            return True
        except OSError:
            return False  # out of reach: no address of this machine
    return False
