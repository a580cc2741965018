"""Where this software listens: on one address, which is this machine's."""

import ipaddress
import socket

from lsd_experiments.errors import UserError

REMEDY = "Name the one address of this machine that is meant"
ALL = "all addresses of this machine"


def resolve(host: str, key: str) -> tuple[socket.AddressFamily, str]:
    """The family and the numeric address that ``host``, a name or an address, stands for.

    All spellings count by what they stand for: ``0x0``, ``00.0.0.0``, ``0`` and ``::ffff:0.0.0.0`` are all of the machine's
    addresses, as ``0.0.0.0`` is.

    :param key: what messages call it
    :raises UserError: if it cannot be resolved, or is no one address: all of them, multicast or broadcast
    """
    shown = f"{key} = {host}" if host.isascii() and host.isprintable() else f"{key} = {host!a}"
    if not host or not host.isascii() or not host.isprintable() or set(host) & set(" *[]/"):
        raise UserError(f"{shown}: neither a name nor an address. {REMEDY}")
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        port = ", without a port: any that is free is taken" if host.count(":") == 1 else ""
        raise UserError(f"{shown} cannot be resolved ({getattr(error, 'strerror', None) or error}). {REMEDY}{port}") from error
    places = [(family, str(place[0])) for family, _, _, _, place in found if family in (socket.AF_INET, socket.AF_INET6)]
    what = next(filter(None, (stands_for(address) for _, address in places)), None)
    if what or not places:
        raise UserError(f"{shown} stands for {what or 'no address'}. {REMEDY}")
    return min(places, key=lambda place: place[0] != socket.AF_INET)  # of a name with both, the older kind


def stands_for(text: str) -> str | None:
    """What an address in any spelling stands for, in words, if it is not one machine's; None for a name, too, which is not
    looked up.
    """
    if text in ("", "*"):  # to which C's functions agree
        return ALL
    try:
        numeric = socket.getaddrinfo(text, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0][4][0]
    except (OSError, UnicodeError):
        return None
    address = ipaddress.ip_address(str(numeric).partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_unspecified or address in ipaddress.ip_network("0.0.0.0/8"):
        return ALL
    if address.is_multicast:
        return "a multicast group"
    return "a broadcast" if address.version == 4 and _is_broadcast(str(address)) else None


def listen(host: str, key: str = "host") -> socket.socket:
    """A socket that listens on a free port of ``host``, see :func:`resolve`, and on no other address.

    :raises UserError: if that is not one address of this machine
    """
    family, address = resolve(host, key)
    try:
        return socket.create_server((address, 0), family=family, backlog=1024)
    except OSError as error:
        raise UserError(f"{key} = {host} is no address of this machine ({error.strerror}). Name one that the "
                        "workers' machines reach, or leave it out") from error


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
