"""A Slurm of one machine that is the tests' own: munged, slurmctld and slurmd on loopback, all files in one directory.

Nothing of an installed Slurm is read or changed: programs find the one of the tests by ``SLURM_CONF``.
"""

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
CONF = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={directory}/munge.socket
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd.pid
SlurmctldLogFile={directory}/slurmctld.log
SlurmdLogFile={directory}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0
KillWait=2
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=2000 State=UNKNOWN
PartitionName=short Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Why there can be no Slurm here, or None."""
    if os.geteuid() != 0:
        return "needs root, to run slurmd"
    absent = [program for program in PROGRAMS if _which(program) is None]
    return f"needs {', '.join(absent)} (Debian packages slurm-wlm and munge)" if absent else None


@contextmanager
def slurm(directory: Path) -> Iterator[Path]:
    """While open, Slurm runs with all its files in ``directory``; gives its configuration file, the value for SLURM_CONF."""
    for name in ("state", "spool"):
        (directory / name).mkdir(parents=True)
    key = directory / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    conf = directory / "slurm.conf"
    conf.write_text(CONF.format(directory=directory, host=socket.gethostname().split(".")[0], ports=_free_ports(2)))
    (directory / "cgroup.conf").write_text("")
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    daemons: list[subprocess.Popen[bytes]] = []

    def start(*words: str) -> None:
        with (directory / f"{words[0]}.out").open("wb") as log:
            daemons.append(subprocess.Popen([str(_which(words[0])), *words[1:]], stdout=log, stderr=log, env=environment,
                                            stdin=subprocess.DEVNULL))

    try:
        start("munged", "--foreground", "--force", f"--socket={directory}/munge.socket", f"--key-file={key}",
              f"--pid-file={directory}/munge.pid", f"--log-file={directory}/munge.log", f"--seed-file={directory}/munge.seed")
        _wait_for(lambda: (directory / "munge.socket").exists(), directory)
        start("slurmctld", "-D", "-f", str(conf))
        start("slurmd", "-D", "-f", str(conf))
        _wait_for(lambda: _states(environment) == {"idle"}, directory)
        yield conf
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in reversed(daemons):
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def jobs(conf: Path) -> list[str]:
    """The jobs that are not over, ``<id> <name> <state>`` each."""
    words = ["squeue", "--noheader", "--format=%i %j %T"]
    listed = subprocess.run(words, env={**os.environ, "SLURM_CONF": str(conf)}, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def _states(environment: dict[str, str]) -> set[str]:
    words = ["sinfo", "--noheader", "--format=%T"]
    return set(subprocess.run(words, env=environment, capture_output=True, text=True, check=False).stdout.split())


def _which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/sbin")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _wait_for(condition, directory: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        logs = [f"{path.name}: {path.read_text(errors='replace')[-600:]}"
                for path in (*directory.glob("*.out"), *directory.glob("*.log"))] if time.monotonic() > end else None
        assert logs is None, f"Slurm did not start: {logs}"
        time.sleep(0.1)
