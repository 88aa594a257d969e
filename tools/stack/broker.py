"""An embedded NATS server with JetStream on file, where each service may say and hear only what its manifest names."""

import json
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.stack import secrets
from tools.stack.health import answers_ok
from tools.stack.process import Program
from tools.stack.server import Server

ADMIN = "admin"


@dataclass(frozen=True)
class BrokerUser:
    """One service's account: its password and NATS permissions (`chassis.messaging.broker.permissions`)."""

    password: str
    permissions: Mapping[str, Any]


class Broker(Server):
    """A NATS server on 127.0.0.1:`port`, its streams in `data_dir`; the account `admin` may do everything."""

    def __init__(
        self, data_dir: Path, port: int, monitor_port: int, users: Mapping[str, BrokerUser], *, log: Path | None = None
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.url = f"nats://127.0.0.1:{port}"
        self._port = port
        self._monitor_port = monitor_port
        self._users = users
        self._log = log or self.data_dir / "broker.log"
        self._configuration = self.data_dir / "nats.json"

    @property
    def admin_url(self) -> str:
        """The URL, credentials inside, of the account that provisions streams and consumers."""
        password = secrets.kept(self.data_dir / "password")
        return f"nats://{ADMIN}:{password}@127.0.0.1:{self._port}"

    @property
    def program(self) -> Program:
        """What starts the server; SIGTERM lets it close its streams."""
        return Program(
            name="broker",
            command=[str(Path(sysconfig.get_path("scripts")) / "nats-server"), "--config", str(self._configuration)],
            log=self._log,
            address=f"127.0.0.1:{self._port}",
        )

    @property
    def ports(self) -> list[int]:
        """For clients, and for its monitor."""
        return [self._port, self._monitor_port]

    def prepare(self) -> None:
        """Write the configuration, which holds passwords and is therefore a secret."""
        secrets.write(self._configuration, json.dumps(self._render(), indent=2))

    def is_ready(self, pid: int | None) -> bool:
        """Whether JetStream has recovered its streams, as the monitor says."""
        return answers_ok(self._monitor_port, "/healthz")

    def _render(self) -> dict[str, Any]:
        """The configuration. NATS reads JSON as well as its own notation."""
        admin = {"user": ADMIN, "password": secrets.kept(self.data_dir / "password")}
        services = [
            {"user": name, "password": user.password, "permissions": user.permissions}
            for name, user in sorted(self._users.items())
        ]
        return {
            "server_name": "tradewind",
            "listen": f"127.0.0.1:{self._port}",
            "http": f"127.0.0.1:{self._monitor_port}",
            # Without it an acknowledged message may be lost with the power: NATS answers before it syncs.
            "jetstream": {"store_dir": str(self.data_dir / "jetstream"), "sync_interval": "always"},
            "authorization": {"users": [admin, *services]},
            "max_payload": 1024 * 1024,
            "logtime_utc": True,
        }
