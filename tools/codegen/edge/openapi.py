"""The OpenAPI document of the edge, for people and tools that speak HTTP and JSON."""

from typing import Any

from chassis.contract.descriptors import Caller
from tools.codegen.edge.image import Image
from tools.codegen.edge.methods import VARIABLE, Binding, Method
from tools.codegen.edge.schemas import Schemas, is_required

DESCRIPTION = (
    "Names are those of the protos. 64-bit integers are written as strings. Every call that changes something carries a "
    "`request_id`: the same id with the same content gets the first answer again. Server streams come as server-sent "
    "events. Errors are `google.rpc.Status`: the `reason` in its `ErrorInfo` is what programs go by."
)

WHO_MAY_CALL = {
    Caller.ANYONE: "Anyone may call it.",
    Caller.CUSTOMER: "Any user who is logged in may call it.",
    Caller.STAFF: "Staff may call it.",
}

ERROR = {
    "type": "object",
    "description": "`google.rpc.Status`.",
    "required": ["code", "message", "details"],
    "properties": {
        "code": {"type": "integer", "description": "A `google.rpc.Code`."},
        "message": {"type": "string", "description": "For developers; never parse it."},
        "details": {
            "type": "array",
            "description": "`google.rpc.ErrorInfo` always; `BadRequest` with every failing field for invalid input; "
            "`RetryInfo` where a retry can help.",
            "items": {"type": "object", "required": ["@type"], "properties": {"@type": {"type": "string"}}},
        },
    },
}


def document(image: Image, methods: list[Method]) -> dict[str, Any]:
    """The whole document."""
    schemas = Schemas(image)
    paths: dict[str, dict[str, Any]] = {}
    for method in methods:
        for binding in method.bindings:
            path = VARIABLE.sub(r"{\1}", binding.template)
            paths.setdefault(path, {})[binding.verb.lower()] = _operation(method, binding, schemas, image)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tradewind", "version": "1", "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "tags": _tags(methods, image),
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {**dict(sorted(schemas.components.items())), "Error": ERROR},
            "responses": {"Error": {"description": "It was refused, or failed.", "content": _json_of("Error")}},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _tags(methods: list[Method], image: Image) -> list[dict[str, str]]:
    services = sorted({method.grpc_service for method in methods})
    return [{"name": _tag(service), "description": image.comments.get(service, "")} for service in services]


def _tag(grpc_service: str) -> str:
    return grpc_service.rpartition(".")[2]


def _operation(method: Method, binding: Binding, schemas: Schemas, image: Image) -> dict[str, Any]:
    comment = image.comments.get(method.name.replace("/", "."), "")
    in_path = binding.variables
    parameters = [_parameter("path", name, method, schemas) for name in in_path]
    if not binding.body:
        queried = [name for name in schemas.fields(method.request) if name not in in_path]
        parameters += [_parameter("query", name, method, schemas) for name in queried]
    operation: dict[str, Any] = {
        "operationId": method.short_name,
        "tags": [_tag(method.grpc_service)],
        "summary": comment.partition(". ")[0].rstrip("."),
        "description": f"{comment} {WHO_MAY_CALL[method.caller]}",
        "security": [{}, {"token": []}] if method.caller is Caller.ANYONE else [{"token": []}],
        "parameters": parameters,
        "responses": {"200": _answer(method, schemas), "default": {"$ref": "#/components/responses/Error"}},
    }
    if binding.body:
        operation["requestBody"] = _body(method, frozenset(in_path), schemas)
    return operation


def _parameter(place: str, name: str, method: Method, schemas: Schemas) -> dict[str, Any]:
    field = schemas.fields(method.request)[name]
    schema = schemas.field(method.request, field)
    return {
        "name": name,
        "in": place,
        "required": place == "path" or is_required(field),
        "description": schema.pop("description", ""),
        "schema": schema,
    }


def _body(method: Method, in_path: frozenset[str], schemas: Schemas) -> dict[str, Any]:
    schema = schemas.message(method.request, without=in_path) if in_path else schemas.reference(method.request)
    if method.client_streaming:
        schema = {"type": "array", "items": schema}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _answer(method: Method, schemas: Schemas) -> dict[str, Any]:
    kind = "text/event-stream" if method.server_streaming else "application/json"
    return {"description": "It is done.", "content": {kind: {"schema": schemas.reference(method.response)}}}


def _json_of(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
