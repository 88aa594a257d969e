"""Where the mailer is told to bring mails."""

import pytest

from chassis.settings import SettingsError
from services.notifications.mailer import Mailer
from services.notifications.settings import Settings


@pytest.mark.parametrize("address", ["mail", "mail:smtp", "mail:99999"])
def test_a_mail_server_has_a_host_and_a_port(address: str) -> None:
    """Or the service does not start."""
    with pytest.raises(SettingsError, match=f"TRADEWIND_SMTP_ADDRESS: '{address}' is not HOST:PORT"):
        Mailer(Settings(smtp_address=address))
