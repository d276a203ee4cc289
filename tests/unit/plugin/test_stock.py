"""What the plugin takes from the private side of livekit-agents is still there, in the version installed.

Known to be so in livekit-agents 1.8.9. A failure here says which name to look for in the stock session.
"""

import dataclasses
import inspect

import pytest
from livekit.agents import llm
from livekit.agents.llm._realtime import openai as stock
from livekit.agents.llm._realtime import openai_utils

from livekit.plugins.openai_realtime import ConnectOptions, RealtimeModel
from livekit.plugins.openai_realtime.stock import HANDLERS, PRIVATE, StockSession


@pytest.mark.parametrize("name", PRIVATE["methods"])
def test_a_method_is_there(name: str) -> None:
    assert callable(getattr(stock.RealtimeSession, name))


@pytest.mark.parametrize("kind", HANDLERS)
def test_a_handler_takes_one_event(kind: str) -> None:
    method, event = HANDLERS[kind]
    parameters = list(inspect.signature(getattr(stock.RealtimeSession, method)).parameters)
    assert len(parameters) == 2
    assert hasattr(event, "construct")


async def test_the_attributes_are_there() -> None:
    async with stock.RealtimeModel(api_key="sk-test", base_url="http://127.0.0.1:1/v1") as model:
        session = model.session()
        assert [name for name in PRIVATE["attributes"] if not hasattr(session, name)] == []
        await session.aclose()


def test_the_records_have_their_fields() -> None:
    for kind, wanted in (
        (stock._ResponseGeneration, PRIVATE["generation"]),
        (stock._MessageGeneration, PRIVATE["message"]),
    ):
        assert set(wanted) <= {field.name for field in dataclasses.fields(kind)}


def test_the_mirror_keeps_order() -> None:
    mirror = llm.remote_chat_context.RemoteChatContext()
    mirror.insert(mirror.tail_id, llm.ChatMessage(id="a", role="user", content=["x"]))
    mirror.insert(mirror.tail_id, llm.ChatMessage(id="b", role="user", content=["y"]))
    assert [item.id for item in mirror.to_chat_ctx().items] == ["a", "b"]
    assert mirror.get("a").item.id == "a"  # type: ignore[union-attr]


def test_helpers() -> None:
    assert len(openai_utils._shorten_call_id("x" * 99)) == 32
    assert openai_utils.to_oai_tool_choice("auto") == "auto"


def test_the_session_is_made_by_the_stock_constructor() -> None:
    """It starts `_main_task` and sends the settings: both are overridden."""
    source = inspect.getsource(stock.RealtimeSession.__init__)
    assert "self._main_task()" in source
    assert "self.send_event(self._create_session_update_event())" in source
    assert "_main_task" not in StockSession.__dict__


def test_the_model_has_the_capabilities_of_its_options() -> None:
    model = RealtimeModel(connect=ConnectOptions(api_key="k"))
    assert model.capabilities.turn_detection
    assert model.capabilities.message_truncation
    assert model.capabilities.user_transcription
    assert model.capabilities.audio_output
    assert model.model == "gpt-realtime-2.1"
    assert model.provider == "api.openai.com"
