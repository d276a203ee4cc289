"""The worker's main process: registers with LiveKit, keeps job processes, answers the operator's probes."""

import asyncio
import importlib
import logging
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from livekit.agents import AgentServer, JobRequest
from livekit.agents.utils import http_context
from prometheus_client import CollectorRegistry, generate_latest

from livekit.plugins.openai_realtime import warm_up

from . import __version__, image, job, logs
from .access import Gatekeeper
from .config import Settings
from .link import LinkServer, socket_path
from .metrics import Sums
from .rescue import Rescue
from .room.succession import WORKER
from .state import state_directory, sweep

logger = logging.getLogger("parley.worker")

LEAVING_S = 60.0
"""What a job may take beyond the drain deadline: its last phrase, the tail, the goodbye."""
SWEEP_S = 600.0
"""How often the states of rooms that have ended are looked for."""


def run(settings: Settings) -> int:
    """Works until SIGTERM has been obeyed; returns the exit status."""
    logs.set_up(settings.log_level, settings.log_format)
    # The end-of-turn model is 244 MB that translation has no use for; the VAD is loaded by each job.
    os.environ.setdefault("LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE", "0")
    # The framework's watch over stalls wakes every process, and a thread of it, 20 to 50 times a second.
    # Where audio waits for a job's loop, its native layer says so at no cost.
    os.environ.setdefault("LIVEKIT_AGENTS_LOOP_BLOCK_WARN_MS", "0")
    # What LiveKit's native side logs when its records are not made for Python: see `parley.room.native`.
    os.environ.setdefault("RUST_LOG", "warn")
    # Jobs are forked from here on: their environment and what they import must be complete.
    http_context._set_default_cert_env()  # a CA bundle where the system has none
    importlib.import_module("livekit.agents.ipc._preload")  # the framework's warm-up, once for all jobs
    warm_up()
    with socket_path() as path, state_directory(settings.state_dir, path.parent) as kept:
        image.share()
        return asyncio.run(_work(settings, path, kept))


def _server(settings: Settings) -> AgentServer:
    full = 0.7
    server = AgentServer(
        load_fnc=lambda server: full * min(1.0, len(server.active_jobs) / settings.limits.rooms),
        load_threshold=full,
        num_idle_processes=1,
        max_retry=1_000_000_000,
        host="127.0.0.1",
        port=0,
        ws_url=settings.livekit_url,
        api_key=settings.livekit_api_key,
        api_secret=settings.livekit_api_secret.get_secret_value(),
        setup_fnc=job.prewarm,
        initialize_process_timeout=60.0,
        preload_modules=["parley.job"],
        session_end_timeout=5.0,
    )
    server.rtc_session(job.entrypoint, agent_name=settings.agent_name, on_request=_accept)
    return server


async def _accept(request: JobRequest) -> None:
    await request.accept(name="Parley", identity=f"parley-{request.id}", attributes={WORKER: __version__})


async def _work(settings: Settings, path: Path, kept: Path) -> int:
    server = _server(settings)
    sums = Sums()
    secret = settings.livekit_api_secret.get_secret_value()
    rescue = Rescue(settings.livekit_url, settings.livekit_api_key, secret)
    link = LinkServer(sums, Gatekeeper(settings.limits.audio_minutes_per_minute), rescue.died)
    stop = asyncio.Event()
    _on_signals(stop)
    async with rescue, link.serve(path), _http(settings, server, sums), swept(kept):
        working = asyncio.create_task(server.run(), name="agent server")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            stopping.cancel()
            logger.error("the worker ended: %s", working.exception())
            return 1
        link.drain(settings.drain_s)
        logger.info("draining", extra={"rooms": len(server.active_jobs), "within_s": settings.drain_s})
        try:
            await server.drain(timeout=round(settings.drain_s + LEAVING_S))
        except TimeoutError:
            logger.error("rooms were cut off: they did not end in %g s", settings.drain_s + LEAVING_S)
        await server.aclose()
        await working
    return 0


@asynccontextmanager
async def swept(directory: Path) -> AsyncIterator[None]:
    """What jobs have left there and no job has taken up is deleted in time, while the context lives."""

    async def sweeping() -> None:
        while True:
            try:
                await asyncio.to_thread(sweep, directory)
            except OSError as e:
                logger.warning("old states of rooms were not deleted: %s", e.strerror or e)
            await asyncio.sleep(SWEEP_S)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(sweeping(), name="sweep")
        try:
            yield
        finally:
            task.cancel()


def _on_signals(stop: asyncio.Event) -> None:
    """The first SIGTERM or SIGINT drains, the second ends at once."""

    def on_signal() -> None:
        if stop.is_set():
            for child in multiprocessing.active_children():
                child.kill()
            os._exit(1)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)


def ready(server: AgentServer) -> bool:
    """Whether rooms can be dispatched here: registered with LiveKit now, and not draining."""
    # `_connecting` is true until the server has answered the registration, and again when it is lost.
    return server.id != "unregistered" and not server._connecting and not server.draining


@asynccontextmanager
async def _http(settings: Settings, server: AgentServer, sums: Sums) -> AsyncIterator[None]:
    """/livez, /readyz and /metrics while the context lives."""
    registry = CollectorRegistry()
    registry.register(sums)

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def readyz(_: web.Request) -> web.Response:
        if ready(server):
            return web.Response(text="ready\n")
        return web.Response(status=503, text="draining\n" if server.draining else "not registered\n")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), content_type="text/plain", charset="utf-8")

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.http_host, settings.http_port)
        await site.start()
        logger.info("serving /livez, /readyz and /metrics", extra={"address": runner.addresses[0]})
        yield
    finally:
        await runner.cleanup()
