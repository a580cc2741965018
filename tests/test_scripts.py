"""A script that a server forks is to itself and to others what a new interpreter would run."""

import json
import os
import signal
import subprocess
import sys

import psutil
import pytest

from tests.scripts import environment, run_script

# What a script can see of its process.
LOOK = """
import atexit, json, os, signal, stat, sys, tempfile, threading
atexit.register(print, "at exit", file=sys.stderr)
import helper
streams = [[stat.S_IFMT(os.fstat(number).st_mode), os.isatty(number)] for number in range(3)]
print(json.dumps({
    "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path, "cwd": os.getcwd(), "environment": dict(os.environ),
    "main": [__name__, __file__, __spec__ is None, sys.modules["__main__"].__dict__ is globals()],
    "child": tempfile.gettempdir(), "streams": streams, "open": len(os.listdir("/proc/self/fd")) < 8, "read": sys.stdin.read(),
    "buffered": [sys.stdout.line_buffering, sys.stderr.line_buffering, sys.stdout.encoding],
    "signals": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)],
    "main thread": threading.current_thread() is threading.main_thread(), "group": [os.getpgrp(), os.getsid(0)],
    "warnings": len(sys.warnoptions), "flags": str(sys.flags), "ours": "lsd_experiments" in sys.modules,
}))
"""


def script(directory, text, name="script.py"):
    (directory / name).write_text(text)
    return directory / name


@pytest.mark.parametrize("name", ["script.py", "train.py"])
def test_it_sees_what_a_new_interpreter_sees(tmp_path, name):
    directory = tmp_path / "02_train" / "x"
    directory.mkdir(parents=True)
    script(directory, "", "helper.py")
    script(directory, LOOK, name)
    (tmp_path / "temporary").mkdir()
    env = environment(LSD_X="a b", TMPDIR=str(tmp_path / "temporary"))
    for words in ([name], [directory / name], ["-m", name.removesuffix(".py")]):
        arguments = (*words, "--number", "3 4")
        forked, new = (run_script(*arguments, cwd=directory, env=env, fresh=fresh) for fresh in (False, True))
        assert (forked.returncode, forked.stderr) == (new.returncode, new.stderr) == (0, "at exit\n")
        seen, expected = json.loads(forked.stdout), json.loads(new.stdout)
        assert seen == expected
        assert (seen["environment"]["LSD_X"], seen["argv"][1:]) == ("a b", ["--number", "3 4"])


@pytest.mark.parametrize(("text", "status", "said"), [
    ("print('done')", 0, ""), ("raise SystemExit", 0, ""), ("raise SystemExit(3)", 3, ""), ("raise SystemExit(256 + 7)", 7, ""),
    ("raise SystemExit('what is wrong')", 1, "what is wrong\n"), ("import os; os._exit(9)", 9, ""),
    ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9, ""),
    ("import os, signal; os.kill(os.getpid(), signal.SIGINT)", -signal.SIGINT, "KeyboardInterrupt\n"),
    ("def f(): return 1 // 0\nf()", 1, "ZeroDivisionError: integer division or modulo by zero\n"),
    ("f(", 1, "was never closed\n"),
    ("import threading, sys, time\ndef late(): time.sleep(0.1); print('late', file=sys.stderr)\n"
     "threading.Thread(target=late).start()", 0, "late\n"),
    ("import sys\nclass A:\n    def __del__(self): print('gone', file=sys.stderr)\na = A()", 0, "gone\n"),
    ("import sys, types\nm = sys.modules['m'] = types.ModuleType('m')\nm.f = open('/proc/self/fd/2', 'w')\n"
     "m.f.write('kept\\n')\nm.m = m", 0, "kept\n"),
    ("import sys\nsys.excepthook = lambda *_: print('hooked', file=sys.stderr)\n1 // 0", 1, "hooked\n"),
])  # fmt: skip
def test_it_ends_as_python_ends(tmp_path, text, status, said):
    path = script(tmp_path, text)
    forked, new = run_script(path), run_script(path, fresh=True)
    assert (forked.returncode, forked.stdout, forked.stderr) == (new.returncode, new.stdout, new.stderr)
    assert (forked.returncode, forked.stderr.endswith(said)) == (status, True)


def test_nothing_stays_from_one_to_the_next(tmp_path):
    text = ("import builtins, os, sys, random, tempfile, numpy\nassert not hasattr(builtins, 'left')\nbuiltins.left = 1\n"
            "os.environ['LSD_LEFT'] = '1'\nprint(numpy.random.random(), random.random(), os.environ.pop('LSD_LEFT'))")
    path = script(tmp_path, text)
    outputs = {run_script(path).stdout for _ in range(3)}
    assert len(outputs) == 3  # not the same random numbers


def test_what_it_must_not_import(tmp_path):
    path = script(tmp_path, "import sys\nimport zarr\nassert not {'tensorflow', 'keras', 'gunpowder'} & {*sys.modules}")
    assert run_script(path).returncode == 0
    refused = run_script(path, without=["zarr"])
    assert (refused.returncode, "import of zarr halted" in refused.stderr) == (1, True)


def test_code(tmp_path):
    code = "import sys; print(sys.argv, sys.path[0] == '', __name__, '__file__' in globals()); 1 // 0"
    forked, new = (run_script("-c", code, "a b", cwd=tmp_path, fresh=fresh) for fresh in (False, True))
    assert forked.stdout == new.stdout == "['-c', 'a b'] True __main__ False\n"
    assert forked.stderr == new.stderr
    assert new.stderr.endswith("ZeroDivisionError: integer division or modulo by zero\n")


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "KERAS_BACKEND", "HOME", "PYTHONWARNINGS", "CUDA_VISIBLE_DEVICES"])
def test_another_environment_of_libraries_takes_a_new_interpreter(tmp_path, name):
    path = script(tmp_path, f"import os, sys; print(os.environ['{name}'], 'zarr' in sys.modules)")
    assert run_script(path, env=environment(**{name: "ignore"})).stdout == "ignore False\n"
    kept = {name: os.environ.get(name, "none")}
    assert run_script(path, env=environment(**kept)).stdout == f"{kept[name]} {name in os.environ}\n"


def test_one_that_takes_too_long_is_ended(tmp_path):
    path = script(tmp_path, f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)")
    with pytest.raises(subprocess.TimeoutExpired):
        run_script(path, timeout=0.5)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert run_script(script(tmp_path, "print(1)")).stdout == "1\n"


def test_much_output_and_many_arguments(tmp_path):
    path = script(tmp_path, "import sys\nprint('a' * 10**6)\nprint('b' * 10**6, file=sys.stderr)\nprint(len(sys.argv))")
    ended = run_script(path, *["x" * 1000] * 300)
    assert (len(ended.stdout), len(ended.stderr)) == (10**6 + 1 + 4, 10**6 + 1)


def test_frameworks_were_imported_and_not_run(tmp_path):
    directory = tmp_path / "02_train"
    directory.mkdir()
    path = script(directory, "import sys, gunpowder, keras\nfrom tensorflow.python.eager import context\n"
                             "print(context.context()._context_handle, 'torch' in sys.modules)\n"
                             "print(float(keras.ops.sum(keras.ops.ones(3))))", "train.py")  # fmt: skip
    for _ in range(2):
        assert run_script(path).stdout == "None False\n3.0\n"


def test_a_server_that_ended_is_an_error_and_no_wait(tmp_path):
    text = ("from tests.scripts import Server, run_script\nrun_script('-c', '')\nServer.started[0].process.kill()\n"
            "Server.started[0].process.wait()\nrun_script('-c', '')")  # fmt: skip
    ended = subprocess.run([sys.executable, "-c", text], env=environment(), capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith(("RuntimeError: light: the server has ended (-9)", "BrokenPipeError"))


def test_servers_end_with_the_tests(tmp_path):
    """Even killed."""
    text = ("import os, signal\nfrom tests.scripts import Server, run_script\n"
            f"assert run_script({str(script(tmp_path, 'print(3)'))!r}).stdout == '3\\n'\n"
            "print(Server.started[0].process.pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)")  # fmt: skip
    ended = subprocess.run([sys.executable, "-c", text], env=environment(), capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    process = psutil.Process(int(ended.stdout)) if psutil.pid_exists(int(ended.stdout)) else None
    assert process is None or process.wait(timeout=20) is None
