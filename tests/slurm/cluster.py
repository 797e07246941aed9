"""A throw-away SLURM cluster: munge, a controller and some nodes, all on this machine, all in one short-lived folder.

Nodes get namespaces of their own (processes, host name, /dev/shm) where the user may make them; otherwise they share the
machine's and Open MPI's ranks talk over TCP. A guard process ends everything the cluster started when the tests end,
however they end.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

#: Where Debian keeps the daemons; not on everybody's PATH.
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

#: Seconds for daemons to come up and for jobs to reach a state; the rest of a busy machine is in it.
PATIENCE = 60.0

#: What daemons say where the machine does not allow a cluster, as opposed to one that is set up wrongly.
NOT_ALLOWED = re.compile(r"[^\n]*(?:Permission denied|Operation not permitted|Function not implemented|"
                         r"Read-only file system|Protocol not supported)[^\n]*")


class Unavailable(Exception):
    """This machine cannot have a cluster; the text says why."""


def missing_programs() -> list[str]:
    """Return what a cluster needs and this machine lacks."""
    needed = ["munged", "munge", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo"]
    return [name for name in needed if shutil.which(name, path=PATH) is None]


class Cluster:
    """A cluster of `nodes` nodes n1, n2, ... with `cpus` processors each, whatever the machine has."""

    def __init__(self, nodes: int = 2, cpus: int = 4) -> None:
        if missing := missing_programs():
            raise Unavailable(f"no {', '.join(missing)} here; Debian's packages slurm-wlm and munge have them")
        # Unix sockets have names of at most 107 characters, whatever the length of TMPDIR.
        self.folder = Path(tempfile.mkdtemp(prefix="dsl", dir="/tmp"))
        self.names = [f"n{i + 1}" for i in range(nodes)]
        self._cpus = cpus
        self._isolated = self._can_isolate()
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("state", "log", "run", "spool", "tmp", "mpi"):
            (self.folder / name).mkdir()
        self.environment = {
            **os.environ, "PATH": PATH, "SLURM_CONF": str(self.folder / "slurm.conf"),
            "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_btl_tcp_if_include": "lo",
            "OMPI_MCA_oob_tcp_if_include": "lo", "OMPI_MCA_orte_tmpdir_base": str(self.folder / "mpi"),
        }
        if not self._isolated and nodes > 1:
            self.environment["OMPI_MCA_btl"] = "self,tcp"
        self._guard = subprocess.Popen([sys.executable, __file__, str(self.folder)], stdin=subprocess.PIPE,
                                       start_new_session=True)

    def __enter__(self) -> Cluster:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """End all daemons and jobs and remove the folder."""
        # Its standard input ends here, as it does when this process dies.
        self._guard.communicate()
        for daemon in self._daemons.values():
            daemon.wait()

    def run(self, *command: object, check: bool = True, **options: object) -> str:
        """Run a command on the cluster's "login node" and return what it printed."""
        done = subprocess.run([str(word) for word in command], env=self.environment, text=True, timeout=PATIENCE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload]
        if check and done.returncode != 0:
            raise AssertionError(f"{command}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return str(done.stdout)

    def job(self, number: str) -> dict[str, str]:
        """Return what the controller knows of a job, or of one element of an array."""
        text = self.run("scontrol", "--oneliner", "show", "job", number)
        return dict(word.split("=", 1) for word in text.split() if "=" in word)

    def wait_for_state(self, number: str, *states: str) -> dict[str, str]:
        """Return a job's record once it is in one of these states."""
        record: dict[str, str] = {}

        def reached() -> bool:
            nonlocal record
            record = self.job(number)
            return record["JobState"] in states

        self.wait_until(reached, lambda: f"job {number} to be {' or '.join(states)}; it is {record}")
        return record

    def wait_until(self, condition: Callable[[], bool], what: Callable[[], str] | str) -> None:
        """Return as soon as a condition holds."""
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                said = what if isinstance(what, str) else what()
                raise AssertionError(f"waited {PATIENCE:.0f} s for {said}\n{self.logs()}")
            time.sleep(0.1)

    def lose_node(self, name: str) -> None:
        """Cut a node's power: its daemon, its job steps and their ranks are gone at once."""
        daemon = self._daemons.pop(name)
        # In a namespace of its own the daemon takes all else along.
        daemon.kill()
        if not self._isolated:
            for pid in processes_with(f"DUALSCAPE_TEST_NODE={self.folder}/{name}"):
                kill(pid)
            for pid in processes_with(f"SLURM_CONF={self.folder}/slurm.conf", f"SLURMD_NODENAME={name}"):
                kill(pid)
        daemon.wait()

    def start_node(self, name: str) -> None:
        """Start a node, for the first time or after its loss."""
        for left in [*(self.folder / "tmp" / name).glob("spmix_appdir_*"),
                     *(self.folder / "spool" / name).glob("*pmix.*")]:
            # A requeued job has the same number, and its PMIx server refuses what its forerunner left.
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        for place in ("spool", "tmp"):
            (self.folder / place / name).mkdir(exist_ok=True)
        command = ["slurmd", "-D", "-N", name]
        if self._isolated:
            # The first process of a pid namespace must collect orphans, which slurmd would not.
            script = (f"hostname {name}; mount -t tmpfs -o mode=1777 tmpfs /dev/shm; slurmd -D -N {name} & "
                      "while kill -0 $! 2>/dev/null; do wait $!; done")
            command = ["unshare", "-pmu", "--fork", "--kill-child", "--mount-proc", "bash", "-c", script]
        self._start_daemon(name, command, DUALSCAPE_TEST_NODE=f"{self.folder}/{name}")

    def logs(self) -> str:
        """Return the ends of the daemons' logs."""
        texts = []
        for path in sorted((self.folder / "log").iterdir()):
            lines = path.read_text(errors="replace").splitlines()[-15:]
            texts.append("\n".join([f"--- {path.name}", *lines]))
        return "\n".join(texts)

    def _start(self) -> None:
        run, log = self.folder / "run", self.folder / "log"
        key = run / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        self._start_daemon("munged", ["munged", "-F", "--force", f"--key-file={key}", f"--socket={run}/munge.sock",
                                      f"--pid-file={run}/munged.pid", f"--log-file={log}/munged.log",
                                      f"--seed-file={run}/munged.seed"])
        self._wait_for_daemons(lambda: self._answers("munge", "-S", str(run / "munge.sock"), "-n"))
        # A port can be taken between its choice and its use.
        for attempt in range(3):
            (self.folder / "slurm.conf").write_text(self._configuration())
            self._start_daemon("slurmctld", ["slurmctld", "-D", "-i"])
            for name in self.names:
                self.start_node(name)
            try:
                self._wait_for_daemons(self._healthy)
                return
            except Unavailable:
                if attempt == 2 or "Address already in use" not in self.logs():
                    raise
                self._end_daemons(["slurmctld", *self.names])

    def _healthy(self) -> bool:
        text = self.run("sinfo", "-h", "-N", "-t", "idle", "-o", "%N", check=False)
        return set(text.split()) == set(self.names)

    def _answers(self, *command: str) -> bool:
        return subprocess.run(command, env=self.environment, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0

    def _wait_for_daemons(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            ended = [name for name, daemon in self._daemons.items() if daemon.poll() is not None]
            if ended or time.monotonic() > end:
                what = f"{', '.join(ended)} ended" if ended else f"no cluster after {PATIENCE:.0f} s"
                said = self.logs()
                if ended and (reason := NOT_ALLOWED.search(said)):
                    raise Unavailable(f"no rights to run a cluster here: {what}: {reason[0].strip()}")
                if "Address already in use" in said:
                    raise Unavailable(f"{what}: its port was taken")
                raise AssertionError(f"{what}\n{said}")
            time.sleep(0.05)

    def _start_daemon(self, name: str, command: list[str], **environment: str) -> None:
        with open(self.folder / "log" / f"{name}.out", "ab") as log:
            self._daemons[name] = subprocess.Popen(command, env={**self.environment, **environment}, stdout=log,
                                                   stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                                                   cwd=self.folder)

    def _end_daemons(self, names: list[str]) -> None:
        for name in names:
            daemon = self._daemons.pop(name)
            daemon.kill()
            daemon.wait()

    def _can_isolate(self) -> bool:
        command = ["unshare", "-pmu", "--fork", "--mount-proc", "mount", "-t", "tmpfs", "tmpfs", "/dev/shm"]
        return shutil.which("unshare") is not None and subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0

    def _configuration(self) -> str:
        here, host = self.folder, socket.gethostname().split(".")[0]
        user = self.run("id", "-un").strip()
        ports = free_ports(1 + len(self.names))
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
        nodes = "\n".join(
            f"NodeName={name} NodeHostname={name if self._isolated else host} NodeAddr=127.0.0.1 Port={port} "
            f"CPUs={self._cpus} RealMemory={memory} State=UNKNOWN" for name, port in zip(self.names, ports[1:]))
        # Time limits of a cluster are minutes; here a lost node is missed after seconds (SlurmdTimeout), a requeued job may
        # start again after seconds (cred_expire), and jobs are tried at once (sched_interval).
        return f"""\
ClusterName=throwaway
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={here}/run/munge.sock,cred_expire=5
StateSaveLocation={here}/state
SlurmdSpoolDir={here}/spool/%n
TmpFS={here}/tmp/%n
SlurmctldPidFile={here}/run/slurmctld.pid
SlurmdPidFile={here}/run/slurmd-%n.pid
SlurmctldLogFile={here}/log/slurmctld.log
SlurmdLogFile={here}/log/slurmd-%n.log
MailProg=/bin/true
CommunicationParameters=EnableIPv6
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=1
ReturnToService=2
SlurmdTimeout=4
TCPTimeout=1
MessageTimeout=3
KillWait=3
MinJobAge=86400
MpiDefault=pmix
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
{nodes}
PartitionName=batch Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(count: int) -> list[int]:
    """Return ports nothing listens at."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def processes_with(*settings: str) -> Iterator[int]:
    """Yield the processes that have all these NAME=VALUE in their environment."""
    wanted = {setting.encode() for setting in settings}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if wanted <= set((entry / "environ").read_bytes().split(b"\0")):
                    yield int(entry.name)


def kill(pid: int) -> None:
    """End a process that may be gone already."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def guard(folder: Path) -> None:
    """Wait for the end of standard input, then end whatever belongs to the cluster in a folder and remove it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.read()
    setting = f"SLURM_CONF={folder}/slurm.conf"
    end = time.monotonic() + 10
    while time.monotonic() < end and (found := list(processes_with(setting))):
        for pid in found:
            kill(pid)
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    guard(Path(sys.argv[1]))
