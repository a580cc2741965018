"""What the viewing commands share: their options, the server, and waiting until Ctrl-C."""

import argparse
import socket
import threading
from collections.abc import Callable, Mapping, Sequence

from lsd_experiments.errors import UserError
from lsd_experiments.listening import ALL, resolve, stands_for
from lsd_experiments.viewing.file_server import FileServer
from lsd_experiments.viewing.layers import View
from lsd_experiments.viewing.linking import Linked, link
from lsd_experiments.viewing.skeletons import SkeletonView

EVERYWHERE = ("0.0.0.0", "::")


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--bind-address`` and ``--port``."""
    parser.add_argument("-b", "--bind-address", "--host", default="127.0.0.1", metavar="ADDRESS",
                        help="where the server listens (default: 127.0.0.1, this machine only; 0.0.0.0: everywhere)")
    parser.add_argument("-p", "--port", type=int, default=0, help="default: any that is free")


def _address(text: str) -> str:
    """The one that is meant; all of the machine's only in their usual spelling, so that nobody gets them by mistake."""
    if text in EVERYWHERE:
        return text
    if stands_for(text) == ALL:
        raise UserError(f"--bind-address {text or repr(text)} stands for {ALL}. Pass 0.0.0.0 if that is meant")
    family, address = resolve(text, "--bind-address")
    if family == socket.AF_INET6:
        raise UserError(f"--bind-address {text}: the viewer's URLs hold no IPv6 addresses. Name an IPv4 address, or :: for all")
    return address


def serve_links(collect: Callable[[], Sequence[Linked]], bind_address: str, port: int, page: str) -> None:
    """Serve the files of what ``collect`` gives, print a link to ``page`` that shows them, and stay until Ctrl-C.

    :raises UserError: if the address or port cannot be had
    """
    address = _address(bind_address)
    volumes = collect()
    try:
        server = FileServer({str(number): each.directory for number, each in enumerate(volumes)}, address, _port(port))
    except (OSError, OverflowError) as error:
        raise _refused(bind_address, port, error) from error
    with server:
        print(link(volumes, server, page), flush=True)
        server.serve_forever()


def _port(port: int) -> int:
    if not 0 <= port < 2**16:  # neuroglancer would take another
        raise UserError(f"--port {port}: there is no such port. Name one from 1 to 65535, or 0 for any that is free")
    return port


def _refused(bind_address: str, port: int, error: Exception) -> UserError:
    return UserError(f"cannot listen on {bind_address}:{port}: {error}. Name another --bind-address or --port")


def serve(collect: Callable[[], Sequence[View | SkeletonView]], bind_address: str, port: int) -> None:
    """Show what ``collect`` gives, print the viewer's URL, and stay until Ctrl-C.

    :raises UserError: if the address or port cannot be had.
    """
    serve_several(lambda: {"": collect()}, bind_address, port)


def serve_several(collect: Callable[[], Mapping[str, Sequence[View | SkeletonView]]], bind_address: str, port: int) -> None:
    """As :func:`serve`, with a viewer for each of what ``collect`` gives, whose names stand before their URLs.

    :raises UserError: if the address or port cannot be had.
    """
    port, address = _port(port), _address(bind_address)
    import neuroglancer

    from lsd_experiments.viewing.viewer import make_viewer

    views = collect()
    neuroglancer.set_server_bind_address(address, port)
    try:
        viewers = {name: make_viewer(of_name) for name, of_name in views.items()}  # which hold their state
    except (OSError, OverflowError) as error:
        raise _refused(bind_address, port, error) from error
    for name, viewer in viewers.items():
        print(f"{name} {viewer.get_viewer_url()}".strip(), flush=True)
    try:
        threading.Event().wait()
    finally:
        neuroglancer.stop()
