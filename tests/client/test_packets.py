"""Socket.IO as text."""

from __future__ import annotations

import json
from typing import Any

import pytest
import socketio.packet
from hypothesis import given
from hypothesis import strategies as st

from toolkit.client import packets
from toolkit.client.packets import Kind, Packet
from toolkit.errors import WireError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(
    name=st.text(min_size=1, max_size=20),
    values=st.lists(JSON, max_size=3),
    number=st.none() | st.integers(0, 10**9),
)
def test_events_and_acks_of_the_stock_encoder_are_read(
    name: str, values: list[Any], number: int | None
) -> None:
    stock = socketio.packet.Packet(socketio.packet.EVENT, [name, *values], id=number).encode()
    assert packets.decode(f"4{stock}") == Packet(Kind.EVENT, [name, *values], number)
    ack = socketio.packet.Packet(socketio.packet.ACK, values, id=number or 0).encode()
    assert packets.decode(f"4{ack}") == Packet(Kind.ACK, values, number or 0)


@given(
    name=st.text(min_size=1, max_size=20),
    body=st.dictionaries(st.text(max_size=5), JSON),
    number=st.integers(1, 10**9),
)
def test_the_stock_decoder_reads_our_events(name: str, body: dict[str, Any], number: int) -> None:
    text = packets.event(name, body, ack=number)
    read = socketio.packet.Packet(encoded_packet=text[1:])
    assert (read.packet_type, read.id, read.data) == (socketio.packet.EVENT, number, [name, body])


@given(st.text() | st.from_regex(r"[0-6][0-9]{0,20}[\[{]?.{0,20}", fullmatch=True))
def test_any_text_is_a_packet_or_a_wire_error(text: str) -> None:
    try:
        packet = packets.decode(text)
    except WireError as error:
        assert len(error.message) < 200
        return
    if packet.kind is Kind.EVENT:
        assert isinstance(packet.data[0], str)
    if packet.kind is Kind.ACK:
        assert packet.id is not None
        assert isinstance(packet.data, list)


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ('0{"sid":"x"}', Packet(Kind.OPEN, {"sid": "x"})),
        ("1", Packet(Kind.CLOSE)),
        ("2", Packet(Kind.PING)),
        ("2probe", Packet(Kind.PING)),
        ("6", Packet(Kind.IGNORED)),
        ('40{"sid":"x"}', Packet(Kind.CONNECT, {"sid": "x"})),
        ("41", Packet(Kind.DISCONNECT)),
        ('44{"message":"no"}', Packet(Kind.CONNECT_ERROR, {"message": "no"})),
        ('42["a",1]', Packet(Kind.EVENT, ["a", 1])),
        ('4217["a",1]', Packet(Kind.EVENT, ["a", 1], 17)),
        ("4317[1]", Packet(Kind.ACK, [1], 17)),
    ],
)
def test_packets(text: str, packet: Packet) -> None:
    assert packets.decode(text) == packet


@pytest.mark.parametrize(
    "text",
    ["", "4", "9", "42", "42{}", "42[]", "42[1]", "43[1]", "42[", '42/other,["a"]', '451-["a"]'],
)
def test_garbage(text: str) -> None:
    with pytest.raises(WireError, match="no packet of Socket"):
        packets.decode(text)


def test_what_is_sent() -> None:
    assert packets.connect({"token": "t"}) == '40{"token":"t"}'
    assert packets.pong("2probe") == "3probe"
    assert json.loads(packets.event("ping", {}, ack=3)[3:]) == ["ping", {}]
    with pytest.raises(WireError, match="JSON"):
        packets.event("command", {"args": object()}, ack=1)
