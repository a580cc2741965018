"""A Python that has imported what takes long, and forks itself for each script. :mod:`tests.scripts` starts it, and says why.

    tests.scripts -- socket --> forkserver.py      what to run, with three descriptors for its standard streams
                                  |  fork           imports are shared; all else is made as a new interpreter has it
                                  v
                                script              argv, environment, directory, streams; it ends as Python ends
    tests.scripts <-- socket -- forkserver.py      its process id; at its end its status, and all CPU seconds so far

It is alone in its directory, since that is where Python looks first for modules.
"""

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import random
import resource
import runpy
import signal
import socket
import sys
import threading
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
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        used = [resource.getrusage(whom) for whom in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        server.sendall(f"{status} {sum(each.ru_utime + each.ru_stime for each in used)}\n".encode())


def import_all(kind: str) -> None:
    for name in LIGHT:
        importlib.import_module(name)
    if kind == "frameworks":
        ours = runpy.run_path(str(Path(__file__).parents[2] / "lsd_experiments" / "frameworks.py"))
        ours["import_gunpowder"]()
        ours["_import_silently"]("keras")  # its memory is for the children to keep


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
    own = {"-c": "", "-m": str(Path.cwd())}.get(words[0], str(Path(words[0]).parent.resolve()))
    sys.path[:] = [own, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)), *base]
    sys.modules.update(dict.fromkeys(without))  # None: its import fails
    sys.orig_argv = [sys.executable, *words]
    return words


def run(words: list[str]) -> None:
    """Run a script, ``-m`` and a module, or ``-c`` and code, as ``__main__``."""
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        return
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    vars(main).update(__builtins__=__builtins__)
    if words[0] == "-c":
        sys.argv, code = ["-c", *words[2:]], compile(words[1], "<string>", "exec")
    else:
        sys.argv, main.__file__ = words, str(Path(words[0]).absolute())
        code = compile(Path(words[0]).read_bytes(), main.__file__, "exec")
    exec(code, vars(main))


def status_of(words: list[str]) -> int:
    """Run the script; what it ends with, once what that is to be said of it was said."""
    try:
        run(words)
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return (ended.code or 0) & 0xFF
        print(ended.code, file=sys.stderr)
        return 1
    except BaseException as error:
        trace = error.__traceback__
        while trace and trace.tb_frame.f_code.co_filename in (__file__, runpy.__file__, "<frozen runpy>"):
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def end(status: int, shared: set[str]) -> None:
    """End as Python does, but leave the modules that were there before as they are: to take them down would copy them all."""
    threading._shutdown()
    atexit._run_exitfuncs()
    for file in [each for each in gc.get_objects() if type(each) in (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)]:
        with contextlib.suppress(OSError, ValueError):  # closed, or not to be written
            file.flush()
    for name in ["__main__", *(sys.modules.keys() - shared)]:
        del sys.modules[name]
    gc.collect()
    try:
        sys.stdout.flush()
    except OSError:
        status = 120
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


if __name__ == "__main__":
    __name__ = "forkserver"  # warnings about __main__ are shown, and there is another one from here on
    WORDS = serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
    SHARED = set(sys.modules)
    end(status_of(WORDS), SHARED)
