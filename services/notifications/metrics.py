"""What mail looks like from afar."""

from prometheus_client import Counter, Gauge, Histogram

TRIED = Counter("mail_tried", "Mails handed to the mail server, by what came of it.", ["template", "outcome"])
DELAY_SECONDS = Histogram(
    "mail_delay_seconds",
    "Time from when a fact was heard until its mail was sent.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600),
)
QUEUED = Gauge("mail_queued", "Mails that wait to be sent.")
LAG_SECONDS = Gauge("mail_lag_seconds", "How long the first mail of the queue has been due.")
SERVER_AWAY = Gauge("mail_server_away", "Whether the mail server cannot be reached, or takes no mail from us.")
