"""One response at a time, and none forgotten."""

from livekit.plugins.openai_realtime.responses import Request, Responses


def asked(*names: str) -> tuple[Responses, list[Request]]:
    responses = Responses()
    requests = [Request(name, "reply") for name in names]
    for request in requests:
        responses.ask(request)
    return responses, requests


def test_one_after_the_other() -> None:
    responses, (first, second) = asked("a", "b")
    assert responses.to_send() is first
    assert responses.to_send() is None
    assert responses.created("resp_1", "a") is first
    assert responses.to_send() is None
    assert responses.active == "resp_1"
    responses.done("resp_1")
    assert responses.to_send() is second
    assert not responses.idle


def test_a_request_carries_its_id() -> None:
    payload = Request("a", "reply", {"instructions": "x"}).payload()
    assert payload["event_id"] == "a"
    assert payload["response"] == {"instructions": "x", "metadata": {"client_event_id": "a"}}


def test_what_the_server_begins_by_itself() -> None:
    responses, (first,) = asked("a")
    assert responses.created("resp_0", None) is None
    assert responses.to_send() is None
    responses.done("resp_0")
    assert responses.to_send() is first


def test_the_next_goes_with_the_cancel_of_the_last() -> None:
    responses, (_, second) = asked("a", "b")
    responses.to_send()
    responses.created("resp_1", "a")
    assert responses.cancel() == "resp_1"
    assert responses.cancel() is None
    assert responses.to_send() is second
    responses.done("resp_1")
    assert responses.created("resp_2", "b") is second
    responses.done("resp_1")
    assert responses.active == "resp_2"


def test_nothing_to_cancel() -> None:
    responses = Responses()
    assert responses.cancel() is None
    responses.interrupted()
    assert not responses.cancelling
    responses.created("resp_1", None)
    responses.interrupted()
    assert responses.cancel() is None


def test_busy_waits_for_the_end_of_the_other() -> None:
    responses, (first,) = asked("a")
    responses.to_send()
    assert responses.refused("other", busy=True) is None
    assert responses.sent is first
    assert responses.refused("a", busy=True) is None
    assert responses.to_send() is None
    responses.done("resp_0")
    assert responses.to_send() is first
    responses.refused("a", busy=True)
    responses.free()
    assert responses.to_send() is first


def test_busy_for_ever_is_given_up() -> None:
    responses, (first,) = asked("a")
    for _ in range(4):
        assert responses.to_send() is first
        assert responses.refused("a", busy=True) is None
        responses.free()
    assert responses.to_send() is first
    assert responses.refused("a", busy=True) is first
    assert responses.idle


def test_another_refusal_is_final() -> None:
    responses, (first, second) = asked("a", "b")
    responses.to_send()
    assert responses.refused("a", busy=False) is first
    assert responses.to_send() is second


def test_withdrawn() -> None:
    responses, (_, second, third) = asked("a", "b", "c")
    responses.to_send()
    assert not responses.withdraw("b")
    assert responses.withdraw("a")
    assert responses.to_send() is third
    assert second.attempts == 0


def test_held() -> None:
    responses, (first,) = asked("a")
    responses.held = True
    assert responses.to_send() is None
    responses.held = False
    assert responses.to_send() is first


def test_a_lost_connection_brings_requests_back_in_order() -> None:
    responses, (first, second) = asked("a", "b")
    responses.to_send()
    assert responses.lost() is None
    assert responses.to_send() is first
    responses.created("resp_1", "a")
    assert responses.lost() == "resp_1"
    assert responses.to_send() is second


def test_first() -> None:
    responses, (first,) = asked("a")
    urgent = Request("b", "resume")
    responses.ask(urgent, first=True)
    assert responses.to_send() is urgent
    assert responses.clear() == [urgent, first]
    assert responses.idle
