"""The process that reads and writes by tensorstore; :mod:`tensor_process` starts it, as a file, and says why.

Requests come as lines of JSON on standard input, one at a time; answers go to standard output::

    {"op": "get", "kvstore": .., "keys": [..]}           what these files hold, no retries
    {"op": "open", "spec": .., "order": [..]}            opens an array anew: its shape and type
    {"op": "read", "spec": .., "order": .., "box": [[begin, end], ..]}
    {"op": "write", .. as read .., "dtype": .., "size": n}   the n bytes follow; what is answered is on the disk

    -> {"ok": .., "sizes": [n, ..]} or {"error": text}, after its length in 8 bytes, and then the n bytes of each
"""

import json
import os
import sys
from collections import OrderedDict
from typing import Any, BinaryIO

import numpy as np
import tensorstore as ts

KEPT = 8  # arrays that stay open
CACHED = 2**26  # bytes of chunks and shards' indices that are kept, and asked for again only if they changed
AT_ONCE = {"limit": 16}  # requests
DRIVERS = ("http", "s3", "gcs")
ONCE = {"max_retries": 0, "initial_delay": "0.1s", "max_delay": "0.1s"}
SOME = {"max_retries": 3, "initial_delay": "0.3s", "max_delay": "2s"}


def context(retries: dict[str, Any]) -> ts.Context:
    """Of bounded requests, each tried as ``retries`` says."""
    settings = {f"{driver}_request_retries": retries for driver in DRIVERS}
    settings |= {f"{driver}_request_concurrency": AT_ONCE for driver in DRIVERS}
    return ts.Context({**settings, "cache_pool": {"total_bytes_limit": CACHED}, "data_copy_concurrency": {"limit": 2},
                       "file_io_concurrency": {"limit": 4}})


class Reader:
    """Answers requests; arrays that were read stay open."""

    def __init__(self) -> None:
        self.once, self.reading = context(ONCE), context(SOME)
        self.stores: OrderedDict[str, Any] = OrderedDict()

    def answer(self, request: dict[str, Any], content: bytes) -> tuple[Any, list[Any]]:
        """What is said in JSON, and the buffers that follow; ``content``: the bytes that came with it."""
        if request["op"] == "get":
            return self.get(request["kvstore"], request["keys"])
        writes = request["op"] == "write"
        array = json.dumps([request["spec"], request["order"]], sort_keys=True)
        key = f"{array} written" if writes else array
        if request["op"] == "open":  # what lies there now may be another array
            for known in (array, f"{array} written"):
                self.stores.pop(known, None)
        store = self.stores.pop(key, None) or self.open(request["spec"], request["order"], writes)
        self.stores[key] = store
        while len(self.stores) > KEPT:
            self.stores.popitem(last=False)
        if request["op"] == "open":
            return {"shape": list(store.shape), "dtype": store.dtype.name}, []
        part = store[tuple(slice(begin, end) for begin, end in request["box"])]
        if writes:
            part.write(np.frombuffer(content, request["dtype"]).reshape(part.shape)).result()
            return None, []
        values = part.read(order="C").result()
        return None, [np.ascontiguousarray(values).reshape(-1).view(np.uint8).data]

    def open(self, spec: dict[str, Any], order: list[int], writes: bool) -> Any:
        """The array of ``spec``, from 0, with its axes in ``order``."""
        # Chunks of zeros are stored, too: other programs take one that is not there for an error.
        more = {"store_data_equal_to_fill_value": True} if writes else {}
        store = ts.open({**spec, **more}, open=True, read=True, write=writes, context=self.reading).result()
        return store[ts.d[:].translate_to[0]].transpose(order)

    def get(self, kvstore: dict[str, Any], keys: list[str]) -> tuple[list[Any], list[bytes]]:
        """The content of ``keys``; in place of one that failed, a text, of one that is absent, None."""
        files = ts.KvStore.open(kvstore, context=self.once).result()
        said: list[Any] = []
        contents = []
        for future in [files.read(key) for key in keys]:
            try:
                found = future.result()
            except Exception as error:
                said.append(str(error))
                continue
            said.append(True if found.state == "value" else None)
            if found.state == "value":
                contents.append(found.value)
        return said, contents


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Until ``requests`` end."""
    reader = Reader()
    while line := requests.readline():
        contents: list[Any] = []
        try:
            request = json.loads(line)
            said, contents = reader.answer(request, requests.read(request.get("size", 0)))
            head = {"ok": said, "sizes": [len(content) for content in contents]}
        except Exception as error:  # whatever it is, the other side says it
            head = {"error": str(error) or type(error).__name__}
        text = json.dumps(head).encode()
        answers.write(len(text).to_bytes(8, "big") + text)
        for content in contents:
            answers.write(content)
        answers.flush()


if __name__ == "__main__":
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who asks; when that is gone, the requests end
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    try:
        serve(sys.stdin.buffer, out)
    except BrokenPipeError:
        os._exit(0)
