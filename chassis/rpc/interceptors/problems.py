"""Error mapping: whatever is raised inside becomes one precise status; a bug becomes INTERNAL with an id that is logged."""

import asyncio

import grpc

from chassis.contract import status
from chassis.core import deadline, errors, ids, logs
from chassis.rpc.call import Call
from chassis.rpc.interceptor import Proceed

log = logs.logger(__name__)


async def report_problems(call: Call, proceed: Proceed) -> None:
    """Sets the call's code, and for a problem its status, so that everything outside can read how it ended."""
    try:
        await proceed(call)
    except errors.Problem as problem:
        _report(call, problem)
    except asyncio.CancelledError as stray:
        if not _is_given_up():
            _report(call, _internal(call, stray))
            return
        in_time = call.time_left() > 0
        call.code = grpc.StatusCode.CANCELLED if in_time else grpc.StatusCode.DEADLINE_EXCEEDED
        raise
    except Exception as bug:  # noqa: BLE001 — the outermost place that can still answer the caller
        _report(call, _internal(call, bug))
    else:
        call.code = grpc.StatusCode.OK


def _is_given_up() -> bool:
    """Whether gRPC has cancelled the call itself, and not somebody a work that it waits for: then it is to be answered."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _report(call: Call, problem: errors.Problem) -> None:
    call.problem = problem
    call.code = status.CODES[problem.kind]
    call.context.set_code(call.code)
    call.context.set_details(problem.message)
    call.context.set_trailing_metadata(((status.DETAILS_KEY, status.to_status(problem).SerializeToString()),))


def _internal(call: Call, bug: BaseException) -> errors.Internal:
    error_id = ids.uuid7()
    log.error("bug", error_id=error_id, method=call.method.name, left=deadline.remaining(), exc_info=bug)
    return errors.Internal(f"an error of ours; quote {error_id} to its owners", error_id=error_id)
