"""How the edge says no, over HTTP and over gRPC."""

from collections.abc import Awaitable
from typing import Any

import grpc
import httpx
import pytest

from chassis.contract import status
from chassis.core.errors import Problem


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """The HTTP status and the reason. Every error is a `google.rpc.Status` whose details begin with its ErrorInfo."""
    body = answer.json()
    assert body.keys() == {"code", "message", "details"}
    info = body["details"][0]
    assert (info["@type"], info["domain"]) == ("type.googleapis.com/google.rpc.ErrorInfo", "tradewind.dev")
    return answer.status_code, info["reason"]


def violations(answer: httpx.Response) -> list[str]:
    """The fields a BadRequest names."""
    bad_request = next(d for d in answer.json()["details"] if d["@type"].endswith("google.rpc.BadRequest"))
    return [violation["field"] for violation in bad_request["field_violations"]]


def obstacles(answer: httpx.Response) -> list[tuple[str, str]]:
    """What a PreconditionFailure names: of which type, and what it is about."""
    failure = next(d for d in answer.json()["details"] if d["@type"].endswith("google.rpc.PreconditionFailure"))
    return [(violation["type"], violation["subject"]) for violation in failure["violations"]]


async def problem_of(call: Awaitable[Any]) -> Problem:
    """What a gRPC call is refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return status.from_rpc_error(refused.value)


async def code_of(call: Awaitable[Any]) -> grpc.StatusCode:
    """The code of a gRPC call that fails, for refusals of the edge's own: they carry no details."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code()
