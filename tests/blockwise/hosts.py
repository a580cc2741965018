"""Two hosts on one machine: network namespaces with an address each, and a cable between them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

ADDRESSES = "198.51.100.1", "198.51.100.2"  # only inside of the namespaces


@dataclass(frozen=True)
class Hosts:
    """Their names for ``ip netns exec``."""

    first: str
    second: str

    def on_first(self, words: list[str]) -> list[str]:
        """The command ``words`` on the first host."""
        return ["ip", "netns", "exec", self.first, *words]

    def on_second(self, words: list[str]) -> list[str]:
        """The command ``words`` on the second host."""
        return ["ip", "netns", "exec", self.second, *words]

    def cable(self, state: str) -> None:
        """Plug it in (``up``) or pull it out (``down``), where no end hears of it but by silence."""
        _ip("-n", self.second, "link", "set", "cable", state)


@contextmanager
def two_hosts() -> Iterator[Hosts]:
    """While open, there are two hosts, connected."""
    hosts = Hosts(f"lsd-{os.getpid()}-1", f"lsd-{os.getpid()}-2")
    try:
        for name in (hosts.first, hosts.second):
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", hosts.first, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", hosts.second)
        for name, address in zip((hosts.first, hosts.second), ADDRESSES, strict=True):
            _ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            _ip("-n", name, "link", "set", "cable", "up")
        yield hosts
    finally:
        for name in (hosts.first, hosts.second):
            subprocess.run(["ip", "netns", "delete", name], stderr=subprocess.DEVNULL, check=False)


def missing() -> str | None:
    """Why there can be no two hosts here, or None."""
    if os.geteuid() != 0:
        return "needs root, to make network namespaces"
    if shutil.which("ip") is None:
        return "needs ip (Debian package iproute2)"
    try:
        with two_hosts():
            return None
    except subprocess.CalledProcessError as error:
        return f"this machine does not let root make network namespaces ({error.stderr.strip()})"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
