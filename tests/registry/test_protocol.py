"""Messages between processes arrive whole, however the socket cuts them."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from realitygap.protocol import Channel

TEXTS = st.dictionaries(st.text(max_size=5), st.text(max_size=30) | st.integers(), max_size=4)


@settings(max_examples=80, deadline=None)
@given(st.lists(TEXTS, max_size=8), st.integers(1, 40))
def test_messages_are_the_same_in_pieces_of_any_size(messages: list[dict[str, Any]], size: int) -> None:
    ours, theirs = socket.socketpair()
    data = b"".join(json.dumps(one).encode() + b"\n" for one in messages)

    def write() -> None:
        for begin in range(0, len(data), size):
            theirs.sendall(data[begin : begin + size])
        theirs.close()

    thread = threading.Thread(target=write)
    thread.start()
    assert list(Channel(ours)) == messages
    thread.join()
    ours.close()


def test_values_that_are_json_already_go_into_the_message_as_they_are() -> None:
    ours, theirs = (Channel(one) for one in socket.socketpair())
    large = {"rows": [{"text": "ä\n" * 50}] * 5000}
    sender = threading.Thread(target=lambda: ours.send({"at": "done", "facts": {}}, outputs=json.dumps(large), result="[1, 2]"))
    sender.start()
    assert next(iter(theirs)) == {"at": "done", "facts": {}, "outputs": large, "result": [1, 2]}
    sender.join()
    ours.close(), theirs.close()
