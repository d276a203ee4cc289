"""A job: one room in a process of its own. LiveKit's agent framework calls `entrypoint`."""

import asyncio
import logging
from pathlib import Path
from time import monotonic

import aiohttp
from livekit.agents import AutoSubscribe, JobContext, JobProcess

from livekit import api
from livekit.plugins.openai_realtime.connection import new_http_session
from livekit.plugins.openai_realtime.options import WHISPER, ConnectOptions, TranscriptionOptions

from . import __version__, agents, config, logs
from .access import Access, Gatekeeper
from .bridges.captions import CaptionsPolicy, utterances
from .bridges.translation import BridgePolicy
from .config import Settings
from .core.caption_layout import CaptionLayout
from .core.feed import FeedPolicy
from .core.minutes import LatePolicy, MinutesBounds
from .core.tail import TailPolicy
from .core.vocabulary import Vocabulary
from .export import redaction
from .export.formats import FORMATS
from .export.leaving import ExportPolicy, Leaving
from .export.notes import NotesPolicy
from .export.transcripts import TranscriptPolicy, Transcripts, clean
from .export.webhook import WebhookPolicy
from .link import JobLink, Served
from .media.gate import GatePolicy
from .metrics import Metrics
from .room.agents import AgentPolicy
from .room.costs import CostPolicy
from .room.dial import Dialler
from .room.layouts import LayoutPolicy
from .room.minutes import MinutesPolicy
from .room.originals import Originals
from .room.policy import RoomPolicy
from .room.supervisor import RoomSupervisor
from .state import StateFile

logger = logging.getLogger("parley.job")

CALL_S = 5.0
"""How long LiveKit may take to take down that another worker is wanted."""
CALL_AGAIN_S = 30.0
"""How often another worker is called for while a worker drains and none has come."""


def prewarm(process: JobProcess) -> None:
    """Loads the VAD before a room waits for it."""
    from livekit.local_inference import init_vad

    init_vad()


def room_policy(settings: Settings) -> RoomPolicy:
    """What a room is told by the settings."""
    translation, vad = settings.translation, settings.vad
    return RoomPolicy(
        bridge=BridgePolicy(
            model=translation.model,
            transcription_model=settings.captions.model,
            noise_reduction=translation.noise_reduction,
            idle_s=translation.idle_s,
            feed=FeedPolicy(
                buffer_s=translation.buffer_s,
                tail=TailPolicy(least_s=translation.tail_least_s, most_s=translation.tail_most_s),
            ),
        ),
        captions=CaptionsPolicy(
            session=transcription_options(settings),
            idle_s=settings.captions.idle_s,
            utterances=utterances(vad.silence_s),
        ),
        gate=GatePolicy(threshold=vad.threshold, silence_s=vad.silence_s, pre_roll_s=vad.pre_roll_s),
        defaults=settings.preferences,
        allowed=settings.allowed(agents.names()),
        sessions=settings.limits.sessions_per_room,
        sessions_each=settings.limits.sessions_per_participant,
        hosts=settings.limits.hosts,
        vocabulary=Vocabulary(settings.captions.prompt, settings.captions.keywords),
        layout=LayoutPolicy(translation.layout, translation.original, translation.duck_db, translation.mode),
        costs=CostPolicy(
            settings.limits.usd_per_room,
            settings.limits.usd_per_participant,
            translation.model,
            settings.captions.model,
            settings.export.own_words == "all",
        ),
        agents=AgentPolicy(
            defaults=settings.voice_agent,
            connect=connect_options(settings),
            say=settings.limits.say,
        ),
        minutes=minutes_policy(settings),
        native_logs=settings.log_format == "json" or settings.log_level == "debug",
    )


def minutes_policy(settings: Settings) -> MinutesPolicy:
    """What is kept of what is said in a room."""
    export, limits, captions = settings.export, settings.limits, settings.captions
    return MinutesPolicy(
        kept=settings.keeps_minutes,
        own_words=export.own_words == "all",
        bounds=MinutesBounds(export.transcript_lines, export.transcript_bytes),
        late=LatePolicy(captions.late_lines, captions.late_s),
        redact=redaction.load(export.redact),
        who=limits.transcript,
        layout=CaptionLayout(chars_per_s=export.chars_per_s),
        version=__version__,
        notes=NotesPolicy(
            settings.notes.model,
            settings.notes.timeout_s,
            settings.openai_base_url,
            settings.openai_api_key.get_secret_value(),
        ),
    )


def transcription_options(settings: Settings) -> TranscriptionOptions:
    """What a captions session is asked to do; one model alone knows a delay."""
    captions = settings.captions
    return TranscriptionOptions(
        model=captions.model,
        delay=captions.delay if captions.model == WHISPER else None,
        noise_reduction=settings.translation.noise_reduction,
    )


def connect_options(settings: Settings) -> ConnectOptions:
    """How to reach the API."""
    return ConnectOptions(
        api_key=settings.openai_api_key.get_secret_value(), base_url=settings.openai_base_url
    )


def export_policy(settings: Settings) -> ExportPolicy:
    """Where the summary of a room goes."""
    export = settings.export
    return ExportPolicy(
        Path(export.dir) if export.dir else None,
        WebhookPolicy(export.webhook_url, export.webhook_secret.get_secret_value())
        if export.webhook_url
        else None,
    )


def transcript_policy(settings: Settings) -> TranscriptPolicy:
    """Where the transcript of a room goes."""
    to = export_policy(settings)
    formats = tuple(wanted for wanted in FORMATS if wanted in settings.export.transcript)
    layout = CaptionLayout(chars_per_s=settings.export.chars_per_s)
    return TranscriptPolicy(formats, to.directory, to.webhook, __version__, layout)


async def entrypoint(ctx: JobContext) -> None:
    """Serves one room until it ends, or until the worker drains."""
    logs.be_brief()
    settings = config.load()
    metrics = Metrics(settings.price_list())
    draining: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def on_drain(within_s: float) -> None:
        if not draining.done():
            draining.set_result(within_s)

    await ctx.connect(auto_subscribe=AutoSubscribe.SUBSCRIBE_NONE)
    agents.load_all(settings.agents)

    async def hang_up(identity: str) -> None:
        request = api.RoomParticipantIdentity(room=ctx.room.name, identity=identity)
        await ctx.api.room.remove_participant(request)

    async def subscribe(identity: str, sids: list[str], subscribed: bool) -> None:
        request = api.UpdateSubscriptionsRequest(
            room=ctx.room.name, identity=identity, track_sids=sids, subscribe=subscribed
        )
        await ctx.api.room.update_subscriptions(request)

    me = ctx.room.local_participant.identity
    served = Served(ctx.room.name, me, ctx.job.agent_name, ctx.job.metadata)
    access = Access(Gatekeeper(settings.limits.audio_minutes_per_minute))
    link = JobLink(metrics, on_drain, access, served)
    keep = settings.translation.original == "keep"
    transcripts = transcript_policy(settings)
    async with link.connected(), new_http_session() as http:
        supervisor = RoomSupervisor(
            ctx.room,
            room_policy(settings),
            Dialler(connect_options(settings), http),
            metrics,
            ctx.job.metadata,
            http=http,
            hang_up=hang_up,
            originals=None if keep else Originals(subscribe, link.muted),
            access=access,
            leaving=lambda notices: (
                Leaving(export_policy(settings), http, metrics, notices, __version__).leave
            ),
            transcripts=(
                lambda began_at, notices: Transcripts(
                    transcripts, ctx.room.name, began_at, http, metrics, notices
                )
            )
            if transcripts.wanted or settings.notes.model
            else None,
            state=StateFile.of(ctx.job.room.sid, me),
        )
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(_leave_in_time(ctx, supervisor, draining), name="drain")
            await supervisor.run()
            watch.cancel()
        if transcripts.directory is not None and settings.export.keep_days is not None:
            await clean(transcripts.directory, settings.export.keep_days)
    ctx.shutdown("the room was left")


async def _leave_in_time(
    ctx: JobContext, supervisor: RoomSupervisor, draining: "asyncio.Future[float]"
) -> None:
    """When the worker drains: another one is called for, and the room handed over to it.

    If none comes, the room is served until it is empty or the time is up, then left.
    """
    within_s = await draining
    deadline = monotonic() + within_s
    supervisor.drain(within_s)
    call_at = monotonic()
    while monotonic() < deadline and not supervisor.empty:
        if supervisor.successor and await supervisor.hand_over():
            break
        if monotonic() >= call_at and not supervisor.successor:
            call_at = monotonic() + CALL_AGAIN_S
            await _call(ctx)
        await asyncio.sleep(min(0.2, max(0.0, deadline - monotonic())))
    supervisor.leave()


async def _call(ctx: JobContext) -> None:
    """Asks LiveKit for another worker in this room."""
    request = api.CreateAgentDispatchRequest(
        agent_name=ctx.job.agent_name, room=ctx.room.name, metadata=ctx.job.metadata
    )
    try:
        async with asyncio.timeout(CALL_S):
            await ctx.api.agent_dispatch.create_dispatch(request)
    except (api.TwirpError, aiohttp.ClientError, TimeoutError) as e:
        logger.warning("no other worker could be called for: %s", e or "no answer")
