"""Wires notifications together and serves it."""

from chassis.process.server import Runtime, Service, serve
from services.notifications.mailer import Mailer
from services.notifications.rendering import Renderer
from services.notifications.sender import Sender
from services.notifications.servicer import NotificationServicer
from services.notifications.settings import Settings
from services.notifications.subscriber import Subscriber
from services.notifications.usecases import UseCases


def service(runtime: Runtime) -> Service:
    """What is heard becomes deliveries, and the sender sends them."""
    settings = runtime.load_settings(Settings)
    sender = Sender(runtime.database, runtime.clock, Renderer(), Mailer(settings), settings)
    usecases = UseCases(runtime.database, runtime.clock, sender)
    return Service(
        servicers={"tradewind.notifications.v1.NotificationService": NotificationServicer(usecases, runtime.pages)},
        subscriptions=Subscriber(usecases).subscriptions,
        background=[sender.run, sender.measure, usecases.keep_sweeping],
    )


if __name__ == "__main__":
    serve("services.notifications", service)
