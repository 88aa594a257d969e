"""What happens to every RPC before and after its servicer: the interceptors in their order, one concern a file."""

from collections.abc import Mapping

from chassis.core.settings import RuntimeSettings
from chassis.rpc import peer_identity
from chassis.rpc.idempotency import RequestStore
from chassis.rpc.interceptor import ServerInterceptor
from chassis.rpc.interceptors.access_log import log_call
from chassis.rpc.interceptors.authentication import Authenticate
from chassis.rpc.interceptors.authorization import Authorize
from chassis.rpc.interceptors.correlation import correlate
from chassis.rpc.interceptors.deadlines import bound_deadline
from chassis.rpc.interceptors.idempotency import AnswerOnce
from chassis.rpc.interceptors.metrics import measure
from chassis.rpc.interceptors.problems import report_problems
from chassis.rpc.interceptors.shedding import Shed
from chassis.rpc.interceptors.validation import decode_and_validate
from chassis.rpc.tokens import TokenVerifier
from chassis.rpc.traces import Traces


def server_interceptors(
    settings: RuntimeSettings,
    traces: Traces,
    tokens: TokenVerifier,
    callers: Mapping[str, frozenset[str]],
    requests: RequestStore | None,
) -> tuple[ServerInterceptor, ...]:
    """What every call passes on its way to the servicer, from the outside in.

    `callers`: method name -> the services whose manifests name it. `requests`: None for a service without a database.
    """
    return (
        correlate,  # one request id in every log line
        traces.serve,
        measure,
        log_call,
        report_problems,  # whatever is raised further in becomes one precise status
        Shed(settings.max_concurrent_calls, settings.max_concurrent_streams),
        bound_deadline,
        Authenticate(tokens, peer_identity.source(settings)),
        Authorize(callers),
        decode_and_validate,  # after authorization: strangers learn nothing of the contract
        *((AnswerOnce(requests),) if requests else ()),
    )
