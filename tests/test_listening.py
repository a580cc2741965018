"""Where this software listens, however that is spelt."""

import socket

import pytest

from lsd_experiments.blockwise import Workers
from lsd_experiments.blockwise.workers import check_workers
from lsd_experiments.errors import UserError
from lsd_experiments.listening import listen, resolve
from lsd_experiments.viewing.server import serve

ALL = ["0.0.0.0", "0", "0x0", "0x00000000", "00.0.0.0", "0.0", "0.0.0", "000", "0.0.0.00", "0x0.0", "::", "0::0",
       "0:0:0:0:0:0:0:0", "::0.0.0.0", "::ffff:0.0.0.0", "::ffff:0:0", "0.0.0.5"]
OTHERS = [("224.0.0.1", "a multicast group"), ("0xe0000001", "a multicast group"), ("ff02::1", "a multicast group"),
          ("::ffff:224.0.0.1", "a multicast group"), ("255.255.255.255", "a broadcast"), ("0xffffffff", "a broadcast"),
          ("127.255.255.255", "a broadcast")]


@pytest.mark.parametrize("text", ALL)
def test_all_addresses_are_refused_in_every_spelling(text):
    with pytest.raises(UserError, match=r"^host = \S+ stands for all addresses of this machine\. Name the one address"):
        listen(text)
    with pytest.raises(ValueError, match="this one stands for all"):
        Workers(host=text)


@pytest.mark.parametrize(("text", "what"), OTHERS)
def test_what_is_no_machine_is_refused(text, what):
    with pytest.raises(UserError, match=rf"^host = \S+ stands for {what}\. Name the one address"):
        listen(text)
    with pytest.raises(ValueError, match=f"this one stands for {what}"):
        Workers(host=text)


def test_a_name_counts_by_what_it_stands_for(monkeypatch):
    names = {"everywhere.test": ["0.0.0.0"], "both.test": ["::1", "127.0.0.1"], "one.test": ["127.0.0.1", "::"]}
    real = socket.getaddrinfo

    def look_up(host, *arguments, flags=0, **options):
        if host in names and flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [place for address in names.get(host, [host]) for place in real(address, *arguments, flags=flags, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    for name in ("everywhere.test", "one.test"):
        with pytest.raises(UserError, match=f"= {name} stands for all addresses"):
            check_workers(Workers(num_workers=1, host=name))
    assert resolve("both.test", "host") == (socket.AF_INET, "127.0.0.1")


@pytest.mark.parametrize(("text", "says"), [
    ("127.0.0.1:8000", "cannot be resolved .*without a port"), ("no.such.name.invalid", "cannot be resolved"),
    ("", "neither a name"), (" ", "neither a name"), ("127.0.0.1 ", "neither a name"), ("*", "neither a name"),
    ("höst", r"'h\\xf6st': neither a name"),
    ("[::1]", "neither a name"), ("a" * 300, "cannot be resolved"), ("1.2.3.4/24", "neither a name"), ("a\0b", "neither a name"),
    ("203.0.113.7", "is no address of this machine"), ("2001:db8::7", "is no address of this machine")])
def test_what_is_no_address_of_this_machine_is_refused(text, says):
    with pytest.raises(UserError, match=says):
        listen(text)


@pytest.mark.parametrize(("text", "address"), [("127.0.0.1", "127.0.0.1"), ("0x7f000001", "127.0.0.1"), ("127.1", "127.0.0.1"),
                                               ("localhost", "127.0.0.1"), ("127.0.0.9", "127.0.0.9"), ("::1", "::1")])
def test_one_address_is_listened_on(text, address):
    if ":" in text and not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    with listen(Workers(host=text).host) as server:
        place = server.getsockname()
        assert place[0] == address
        with socket.create_connection(place[:2], timeout=5):
            pass
        if address == "127.0.0.1":  # negative control: and on no other
            with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", place[1]), timeout=5):
                pass


@pytest.mark.parametrize(("text", "says"), [("0x0", r"0x0 stands for all .*Pass 0\.0\.0\.0 if"), ("", "'' stands for all"),
                                            ("224.0.0.1", "a multicast group"), ("::1", "no IPv6")])
def test_the_viewer_is_not_everywhere_by_mistake(text, says):
    with pytest.raises(UserError, match=says):
        serve(lambda: [], text, 0)


def _has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True
