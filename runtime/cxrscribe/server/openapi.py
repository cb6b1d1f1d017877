"""The service's description, as OpenAPI 3.1."""

from __future__ import annotations

from typing import Any, Final

from cxrscribe.errors import Reason
from cxrscribe.server.limits import Limits
from cxrscribe.server.parameters import openapi_parameters
from cxrscribe.settings import BeamSettings
from cxrscribe.version import __version__

_NULL: Final = "null"
_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "number"}
_WHOLE: Final = {"type": "integer"}

_PROBLEMS: Final = {
    400: "A parameter, setting, part or form that isn't right.",
    401: "The token is missing or another one.",
    403: "A web page of elsewhere asks.",
    404: "No such address.",
    405: "Another method.",
    408: "The body came too slowly.",
    413: "The body, or the number of films, is too large.",
    415: "The body is encoded.",
    421: "The header Host names another machine.",
    422: "The film can't be read, and `reason` says why; or its search ended without any report.",
    500: "A defect.",
    503: "No room, loading, or stopping; try again after `Retry-After` seconds.",
    504: "No report within the deadline.",
}


def description(settings: BeamSettings, limits: Limits) -> dict[str, Any]:
    """The document; `settings` are the bundle's, which hold where a request names none."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cxrscribe",
            "version": __version__,
            "summary": "Chest X-ray in, FINDINGS paragraph out.",
            "description": "Every report is a draft made by a program: not for diagnostic use, to be "
            "reviewed by a radiologist. Each answer has the disclaimer that has to go with it.",
        },
        "security": [{}, {"token": []}],
        "paths": {
            "/v1/report": {"post": _report(settings, limits)},
            "/v1/model": {"get": _get("model", "What the model is.", "Model", (401, 421, 503))},
            "/health/live": {"get": _health("live", "Whether the process works.")},
            "/health/ready": {"get": _health("ready", "Whether requests are taken.")},
            "/metrics": {
                "get": {
                    "operationId": "metrics",
                    "summary": "Counts and times, as OpenMetrics.",
                    "responses": {
                        "200": {
                            "description": "OpenMetrics 1.0.",
                            "content": {"application/openmetrics-text": {"schema": _TEXT}},
                        },
                        **_problems((401, 421)),
                    },
                }
            },
            "/openapi.json": {
                "get": {
                    "operationId": "openapi",
                    "summary": "This document.",
                    "responses": {
                        "200": {"description": "OpenAPI 3.1.", "content": _json({"type": "object"})},
                        **_problems((401, 421, 503)),
                    },
                }
            },
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
        },
    }


def _report(settings: BeamSettings, limits: Limits) -> dict[str, Any]:
    film = {"type": "string", "contentMediaType": "application/octet-stream"}
    return {
        "operationId": "report",
        "summary": "A report for each film, or one for all films of a study.",
        "parameters": openapi_parameters(settings.to_json()),
        "requestBody": {
            "required": True,
            "description": f"A film, or a form of films, of at most {limits.body_bytes} bytes. Any content "
            "type: what a file is, its first bytes say.",
            "content": {
                "application/octet-stream": {},
                "image/png": {},
                "image/jpeg": {},
                "application/dicom": {},
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "film": {"type": "array", "items": film},
                            "indication": {
                                "type": "string",
                                "description": "What is known of the patient, for a model that reads it.",
                            },
                        },
                    }
                },
            },
        },
        "responses": {
            "200": {
                "description": "The report of a film or study; of a form, an array: one item a film, in "
                "order, its report or its `error`.",
                "content": _json(
                    {
                        "oneOf": [
                            _ref("FilmReport"),
                            _ref("StudyReport"),
                            {"type": "array", "items": _ref("FilmReport")},
                        ]
                    }
                ),
            },
            **_problems(tuple(_PROBLEMS)),
        },
    }


def _get(name: str, summary: str, schema: str, problems: tuple[int, ...]) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": {"description": summary, "content": _json(_ref(schema))}, **_problems(problems)},
    }


def _health(name: str, summary: str) -> dict[str, Any]:
    answer = {"description": summary, "content": _json(_ref("Health"))}
    return {
        "operationId": name,
        "summary": summary,
        "security": [{}],
        "responses": {"200": answer, "503": answer, **_problems((421,))},
    }


def _problems(statuses: tuple[int, ...]) -> dict[str, Any]:
    return {
        str(status): {"description": _PROBLEMS[status], "content": _json(_ref("Problem"))}
        for status in statuses
    }


def _schemas() -> dict[str, Any]:
    result = {
        "text": _maybe("string"),
        "tokens": {"type": ["array", _NULL], "items": _WHOLE},
        "log_prob": _maybe("number"),
        "score": _maybe("number"),
        "token_log_probs": {"type": ["array", _NULL], "items": _NUMBER},
        "finished": _maybe("boolean"),
        "alternatives": {"type": ["array", _NULL], "items": {"type": "object"}},
        "display": _maybe("string"),
    }
    every = {"error": _maybe("string"), **result, "disclaimer": _TEXT}
    optional = {
        "indication": {"type": "boolean", "description": "Whether the model was told one."},
        "indication_from": _maybe("string"),
        "settings": {"type": "object", "description": "Of a report that was drawn."},
    }
    left_out = _object({"film": _maybe("string"), "error": _TEXT})
    study = {
        "study": {"type": _NULL},
        "films": {"type": "array", "items": _maybe("string")},
        "left_out": {"type": "array", "items": left_out},
    }
    problem = {"code": _TEXT, "message": _TEXT, "request_id": _TEXT}
    reason = {"reason": {"type": "string", "enum": [reason.value for reason in Reason]}}
    return {
        "FilmReport": _object({"film": _maybe("string"), **every}, optional),
        "StudyReport": _object({**study, **every}, optional),
        "Problem": _object({"error": _object(problem, reason)}),
        "Health": _object({"status": {"enum": ["alive", "ready", "loading", "stopping", "failed"]}}),
        "Model": _object(
            {
                "version": _TEXT,
                "model": _TEXT,
                "manifest_sha256": _maybe("string"),
                "architecture": {"type": "object", "additionalProperties": _WHOLE},
                "input": _object({"height": _WHOLE, "width": _WHOLE}),
                "vocabulary_size": _WHOLE,
                "settings": {"type": "object"},
                "precision": _TEXT,
                "device": _TEXT,
                "threads": _WHOLE,
                "reads_indications": {"type": "boolean"},
                "licence": _TEXT,
                "disclaimer": _TEXT,
            }
        ),
    }


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
        "additionalProperties": False,
    }


def _maybe(kind: str) -> dict[str, Any]:
    return {"type": [kind, _NULL]}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
