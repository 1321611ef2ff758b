"""Python's `websockets`, unmodified, as a client of the reference server.

REFERENCE says where it listens, as in ws://127.0.0.1:9001; `tests/run interop` starts one and sets it.
"""

import http.client
import json
import os
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

REFERENCE = os.environ["REFERENCE"]
PATIENCE = 20  # seconds for an answer, on a machine that is busy
READ_LIMIT = 64 << 10  # of /ws

MESSAGES = ["", "text", "snow ☃ and 𝄞", b"", b"\x00\xff\xfe", bytes(range(256)) * 512]


def echo(**options):
    return connect(f"{REFERENCE}/echo", proxy=None, **options)


def live():
    return connect(f"{REFERENCE}/ws", proxy=None)


def tell(ws, topic, data):
    ws.send(json.dumps({"topic": topic, "data": data}))


def hear(ws):
    return json.loads(ws.recv(PATIENCE))


def subscribe(ws, topic):
    tell(ws, "subscribe", {"topic": topic})
    assert hear(ws) == {"topic": "ack", "data": None}


def publish(ws, topic, data):
    tell(ws, "publish", {"topic": topic, "data": data})


def ask_back(ws, data):
    """Comes back only after the server has dealt with all that this session sent before."""
    tell(ws, "echo", data)
    assert hear(ws) == {"topic": "echo", "data": data}


def closed_for(ws, message, **options):
    """The server's close frame; it may come before the last fragment has left."""
    with suppress(ConnectionClosedError):
        ws.send(message, **options)
    with pytest.raises(ConnectionClosedError) as closed:
        ws.recv(PATIENCE)
    return closed.value.rcvd


# Frames


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: f"{type(m).__name__}-{len(m)}")
def test_a_message_comes_back_with_its_type(message):
    with echo() as ws:
        ws.send(message)
        assert ws.recv(PATIENCE) == message


@pytest.mark.parametrize("fragments", [["one ", "", "message ", "☃"], [b"\x00", b"", b"\xff" * 70_000]])
def test_fragments_are_one_message(fragments):
    with echo() as ws:
        ws.send(fragments)
        assert ws.recv(PATIENCE) == fragments[0][:0].join(fragments)


def test_a_character_may_be_split_between_fragments():
    with echo() as ws:
        ws.send([b"\xe2", b"\x98", b"\x83"], text=True)
        assert ws.recv(PATIENCE) == "☃"


def test_sixteen_mebibytes_come_back():
    message = os.urandom(1 << 20) * 16
    with echo(max_size=None) as ws:
        ws.send(message)
        assert ws.recv(PATIENCE) == message


@pytest.mark.parametrize("payload", [b"", b"?", b"x" * 125], ids=len)
def test_a_ping_is_answered_with_its_payload(payload):
    with echo() as ws:
        assert ws.ping(payload).wait(PATIENCE)


def test_a_ping_between_fragments_is_answered_before_the_message_ends():
    with echo() as ws:

        def fragments():
            yield "before, "
            assert ws.ping(b"now").wait(PATIENCE)
            yield "after"

        ws.send(fragments())
        assert ws.recv(PATIENCE) == "before, after"


def test_a_pong_that_nobody_asked_for_is_ignored():
    with echo() as ws:
        ws.pong(b"unasked")
        ws.send("still here")
        assert ws.recv(PATIENCE) == "still here"


# Endings


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4000, 4999])
@pytest.mark.parametrize("path", [echo, live])
def test_the_clients_close_code_comes_back(path, code):
    with path() as ws:
        ws.close(code, "done")
        assert ws.wait_closed(PATIENCE)
        assert ws.close_code == code


@pytest.mark.parametrize("path", [echo, live])
@pytest.mark.parametrize("message", [b"\xff", [b"\xc3", b"("]], ids=["whole", "fragmented"])
def test_text_that_is_not_utf8_is_1007(path, message):
    with path() as ws:
        close = closed_for(ws, message, text=True)
        assert close.code == 1007
        assert close.reason


def test_a_message_of_the_read_limit_passes_and_one_byte_more_is_1009():
    envelope = len('{"topic": "echo", "data": ""}')
    with live() as ws:
        ask_back(ws, "x" * (READ_LIMIT - envelope))
        close = closed_for(ws, json.dumps({"topic": "echo", "data": "x" * (READ_LIMIT - envelope + 1)}))
        assert close.code == 1009
        assert close.reason


def test_fragments_past_the_read_limit_together_are_1009():
    with live() as ws:
        assert closed_for(ws, ["x" * 40_000, "x" * 40_000]).code == 1009


def test_sixteen_bad_messages_in_a_row_are_4500():
    with live() as ws:
        for _ in range(15):
            ws.send("no envelope")
        ask_back(ws, "fifteen are forgiven")
        for _ in range(15):
            ws.send("no envelope")
        close = closed_for(ws, "no envelope")
        assert close.code == 4500
        assert close.reason


# Handshakes


def test_neither_subprotocol_nor_extension_is_agreed_to():
    with echo(subprotocols=["chat", "superchat"]) as ws:
        assert ws.subprotocol is None
        assert ws.protocol.extensions == []


HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def answer(headers, method="GET"):
    server = http.client.HTTPConnection(urlsplit(REFERENCE).netloc, timeout=PATIENCE)
    try:
        server.request(method, "/ws", headers=headers)
        return server.getresponse()
    finally:
        server.close()


def test_a_good_handshake_is_101():
    assert answer(HANDSHAKE).status == 101


def test_a_plain_get_is_426():
    response = answer({})
    assert response.status == 426
    assert response.headers["Upgrade"] == "websocket"


def test_another_version_is_426_and_told_the_right_one():
    response = answer(HANDSHAKE | {"Sec-WebSocket-Version": "8"})
    assert response.status == 426
    assert response.headers["Sec-WebSocket-Version"] == "13"


@pytest.mark.parametrize("key", [None, "", "abc", "dGhlIHNhbXBsZSBub25jZQ"])
def test_a_key_that_is_missing_or_malformed_is_400(key):
    headers = {name: value for name, value in HANDSHAKE.items() if name != "Sec-WebSocket-Key"}
    if key is not None:
        headers["Sec-WebSocket-Key"] = key
    assert answer(headers).status == 400


def test_a_post_is_405_and_told_what_is_allowed():
    response = answer({}, method="POST")
    assert response.status == 405
    assert "GET" in response.headers["Allow"]


# The dialect of /ws


@pytest.mark.parametrize("data", [None, True, -0.5, 2**70, "☃\n", [], {"deep": [[[{}]]]}], ids=repr)
def test_data_is_echoed_as_it_was(data):
    with live() as ws:
        ask_back(ws, data)


def test_a_binary_frame_is_read_as_the_same_envelope():
    with live() as ws:
        ws.send(b'{"topic":"echo","data":"binary"}')
        assert hear(ws) == {"topic": "echo", "data": "binary"}


def test_publications_reach_every_subscriber_in_order():
    with live() as first, live() as second, live() as publisher:
        for ws in (first, second, publisher):
            subscribe(ws, "python:order")
        for n in range(100):
            publish(publisher, "python:order", n)
        for ws in (first, second, publisher):
            assert [hear(ws) for _ in range(100)] == [{"topic": "python:order", "data": n} for n in range(100)]


def test_publications_stay_in_their_topic():
    with live() as subscriber, live() as publisher:
        subscribe(subscriber, "python:mine")
        publish(publisher, "python:other", "not for you")
        publish(publisher, "python:mine", "for you")
        assert hear(subscriber) == {"topic": "python:mine", "data": "for you"}


def test_nothing_published_after_unsubscribe_arrives():
    with live() as subscriber, live() as publisher:
        subscribe(subscriber, "python:left")
        tell(subscriber, "unsubscribe", {"topic": "python:left"})
        assert hear(subscriber) == {"topic": "ack", "data": None}
        publish(publisher, "python:left", "too late")
        ask_back(publisher, "published by now")
        ask_back(subscriber, "and nothing before this")
