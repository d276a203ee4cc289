"""The simulator's own HTTP routes, outside `/v1`: what other processes use to look at sessions and to arm
faults.

GET /healthz                                200 while it serves
GET /simulator/sessions                     {"connections_open", "audio_received_s", "sessions": […]}
GET /simulator/texts                        {"texts": […]}: what the text model answered
GET | POST | DELETE /simulator/faults       POST takes a JSON object with the fields of `Fault`
GET | POST | DELETE /simulator/script       POST takes {"turns": […]}, objects with the fields of `Turn`
POST /simulator/api_keys                    {"api_keys": ["…"] | null}
"""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Protocol

from aiohttp import web

from .faults import Faults, fault_from_json
from .records import SessionRecord
from .script import Script
from .text_model import TextRecord
from .turns import Turn, turn_from_json

__all__ = ["Controlled", "add_routes"]


class Controlled(Protocol):
    """What the routes need of the simulator."""

    faults: Faults
    script: Script

    @property
    def sessions(self) -> list[SessionRecord]: ...

    @property
    def texts(self) -> list[TextRecord]: ...

    @property
    def connections_open(self) -> int: ...

    @property
    def audio_received_s(self) -> float: ...

    def set_api_keys(self, api_keys: Iterable[str] | None) -> None: ...


def add_routes(app: web.Application, simulator: Controlled) -> None:
    """Add the routes to the application."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "simulated": True})

    async def sessions(_: web.Request) -> web.Response:
        body = {
            "connections_open": simulator.connections_open,
            "audio_received_s": simulator.audio_received_s,
            "sessions": [record.as_json() for record in simulator.sessions],
        }
        return web.json_response(body)

    async def texts(_: web.Request) -> web.Response:
        return web.json_response({"texts": [asdict(record) for record in simulator.texts]})

    async def faults(_: web.Request) -> web.Response:
        waiting = [asdict(fault) | {"left": left} for fault, left in simulator.faults.waiting()]
        return web.json_response({"faults": waiting})

    async def add_fault(request: web.Request) -> web.Response:
        try:
            fault = fault_from_json(await _body(request))
            simulator.faults.add(fault)
        except ValueError as error:
            return _bad(error)
        return web.json_response(asdict(fault), status=201)

    async def clear_faults(_: web.Request) -> web.Response:
        simulator.faults.clear()
        return web.json_response({"faults": []})

    async def api_keys(request: web.Request) -> web.Response:
        try:
            keys = _api_keys(await _body(request))
        except ValueError as error:
            return _bad(error)
        simulator.set_api_keys(keys)
        return web.json_response({"api_keys": None if keys is None else len(keys)})

    async def script(_: web.Request) -> web.Response:
        return web.json_response({"turns": _turns(simulator.script)})

    async def add_turns(request: web.Request) -> web.Response:
        try:
            simulator.script.add(*_given_turns(await _body(request)))
        except ValueError as error:
            return _bad(error)
        return web.json_response({"turns": _turns(simulator.script)}, status=201)

    async def clear_script(_: web.Request) -> web.Response:
        simulator.script.clear()
        return web.json_response({"turns": []})

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/simulator/script", script)
    app.router.add_post("/simulator/script", add_turns)
    app.router.add_delete("/simulator/script", clear_script)
    app.router.add_get("/simulator/sessions", sessions)
    app.router.add_get("/simulator/texts", texts)
    app.router.add_get("/simulator/faults", faults)
    app.router.add_post("/simulator/faults", add_fault)
    app.router.add_delete("/simulator/faults", clear_faults)
    app.router.add_post("/simulator/api_keys", api_keys)


async def _body(request: web.Request) -> Any:
    try:
        return await request.json()
    except ValueError:
        raise ValueError("body: got no JSON, allowed: a JSON object") from None


def _api_keys(body: Any) -> list[str] | None:
    if not isinstance(body, dict) or set(body) != {"api_keys"}:
        given = sorted(body) if isinstance(body, dict) else type(body).__name__
        raise ValueError(f"body: got {given}, allowed: an object with the one field api_keys")
    keys = body["api_keys"]
    if keys is None:
        return None
    if not isinstance(keys, list) or not all(isinstance(key, str) and key for key in keys):
        raise ValueError("api_keys: got something else, allowed: null or a list of texts that are not empty")
    return keys


def _given_turns(body: Any) -> list[Turn]:
    if not isinstance(body, dict) or set(body) != {"turns"} or not isinstance(body["turns"], list):
        raise ValueError("turns: got something else, allowed: an object with the one field turns, a list")
    return [turn_from_json(turn) for turn in body["turns"]]


def _turns(script: Script) -> list[dict[str, Any]]:
    """The turns that wait, as far as they are JSON."""
    found = []
    for turn, left in script.waiting:
        plain = {
            name: getattr(turn, name)
            for name in ("say", "preamble", "failure", "latency_s", "wait_s", "times")
        }
        calls = [asdict(call) for call in turn.calls]
        when = turn.when if isinstance(turn.when, str | None) else "a predicate"
        found.append({**plain, "calls": calls, "when": when, "left": left})
    return found


def _bad(error: ValueError) -> web.Response:
    field = str(error).partition(":")[0]
    body = {"message": str(error), "type": "invalid_request_error", "code": "invalid_value", "param": field}
    return web.json_response({"error": body}, status=400)
