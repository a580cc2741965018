"""A Python that has imported what takes long, and forks itself for each script. :mod:`tests.scripts` starts it, and says why.

    tests.scripts -- socket --> forkserver.py      what to run, with three descriptors for its standard streams
                                  |  fork           imports are shared; all else is made as a new interpreter has it
                                  v
                                script              argv, environment, directory, streams; it ends as Python ends
    tests.scripts <-- socket -- forkserver.py      its process id; at its end its status and CPU seconds
"""

import gc
import importlib
import json
import os
import random
import runpy
import signal
import socket
import sys
import time
import types
import warnings
from pathlib import Path

# What our scripts import, but nothing of ours, of which a test may bring another copy.
LIGHT = ("argparse", "cc3d", "daisy", "fastremap", "h5py", "imagecodecs", "matplotlib.figure", "neuroglancer", "numba", "numpy",
         "pydantic", "requests", "s3fs", "scipy.ndimage", "scipy.sparse", "scipy.spatial", "sqlite3", "tempfile", "tifffile",
         "tqdm", "waterz", "zarr")  # fmt: skip


def serve(kind: str, server: socket.socket) -> list[str]:
    """Fork a child for each request until nobody can ask any more; in the child, return the words to run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the children
    del sys.path[0]  # this directory, whose secrets.py would be taken for Python's
    import_all(kind)
    base = [*sys.path]
    gc.collect()
    gc.freeze()  # or the first collection of each child would copy what it shares
    while True:
        message, streams, _, _ = socket.recv_fds(server, 1 << 16, 3)
        if not message:
            os._exit(0)
        while not message.endswith(b"\n"):
            message += server.recv(1 << 16)
        with warnings.catch_warnings(action="ignore"):  # of threads that have nothing to do yet
            pid = os.fork()
        if not pid:
            server.close()
            return begin(base=base, streams=streams, **json.loads(message))
        for stream in streams:
            os.close(stream)
        server.sendall(b"%d\n" % pid)
        _, status, used = os.wait4(pid, 0)
        server.sendall(f"{os.waitstatus_to_exitcode(status)} {used.ru_utime + used.ru_stime}\n".encode())


def import_all(kind: str) -> None:
    for name in LIGHT:
        importlib.import_module(name)
    if kind == "frameworks":
        ours = runpy.run_path(str(Path(__file__).parents[1] / "lsd_experiments" / "frameworks.py"))
        ours["import_gunpowder"]()
        ours["import_keras"]()


def begin(words: list[str], directory: str, environment: dict[str, str], without: list[str], base: list[str],
          streams: list[int]) -> list[str]:  # fmt: skip
    """Make this process what a new interpreter is; its words."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.modules["tempfile"].tempdir = None
    random.seed()
    sys.modules["numpy"].random.seed()
    own = "" if words[0] == "-m" else Path(words[0]).parent.resolve()
    sys.path[:] = [str(own or Path.cwd()), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)), *base]
    sys.modules.update(dict.fromkeys(without))  # None: its import fails
    sys.orig_argv = [sys.executable, *words]
    return words


def run(words: list[str]) -> None:
    """Run a script, or a module, as ``__main__``."""
    sys.excepthook = lambda kind, error, trace: sys.__excepthook__(kind, error.with_traceback(of_script(trace)), trace)
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        return
    sys.argv, script = words, Path(words[0]).absolute()
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    vars(main).update(__file__=str(script), __builtins__=__builtins__)
    exec(compile(script.read_bytes(), script, "exec"), vars(main))


def of_script(trace: types.TracebackType | None) -> types.TracebackType | None:
    """``trace`` without what is above the script."""
    while trace and trace.tb_frame.f_code.co_filename in (__file__, runpy.__file__, "<frozen runpy>"):
        trace = trace.tb_next
    return trace


if __name__ == "__main__":
    run(serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2]))))
