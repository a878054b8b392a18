"""Lines over pipes, sockets and files: all of them, once, in order, whatever room there is."""

from __future__ import annotations

import io
import os
import socket
import threading
import time
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realitygap_server import streams
from realitygap_server.streams import Incoming, Outgoing

LARGE = [f"{number}:" + "ä" * 50_000 for number in range(20)]


def ends(kind: str) -> tuple[int, int]:
    """Where to read, where to write."""
    if kind == "pipe":
        return os.pipe()
    one, other = socket.socketpair()
    return one.detach(), other.detach()


async def lines_of(stream: io.TextIOWrapper) -> list[str]:
    return [line async for line in Incoming(stream)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=12))
def test_lines_are_those_of_the_bytes_however_they_come(pieces: list[bytes]) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        for piece in pieces:
            os.write(writing, piece)
        os.close(writing)

    threading.Thread(target=write).start()
    with open(reading, encoding="utf-8") as stream:
        found = anyio.run(lines_of, stream)
    expected = b"".join(pieces).split(b"\n")
    assert found == [line.decode("utf-8", "replace") for line in (expected if expected[-1] else expected[:-1])]


def test_lines_of_a_file_and_of_no_descriptor_at_all_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "requests").write_text("one\ntwo\n")
    with (tmp_path / "requests").open(encoding="utf-8") as stream:
        assert [line.rstrip() for line in anyio.run(lines_of, stream)] == ["one", "two"]
    assert [line.rstrip() for line in anyio.run(lines_of, io.TextIOWrapper(io.BytesIO(b"one\ntwo")))] == ["one", "two"]


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_answers_larger_than_the_room_arrive_whole_while_the_loop_goes_on(
    kind: str, at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not at_once:
        monkeypatch.setattr(streams, "_AT_ONCE", 0)
    reading, writing = ends(kind)
    turns = 0

    async def write() -> None:
        nonlocal turns
        done = anyio.Event()

        async def tick() -> None:
            nonlocal turns
            while not done.is_set():
                turns += 1
                await anyio.sleep(0.001)

        async def read() -> None:
            await anyio.sleep(0.05)  # the writer is stuck by then
            with open(reading, encoding="utf-8", closefd=False) as stream:
                async for line in Incoming(stream):
                    found.append(line)
                    if len(found) == len(LARGE):
                        break

        async with anyio.create_task_group() as group:
            group.start_soon(tick)
            group.start_soon(read)
            with open(writing, "w", encoding="utf-8", closefd=False) as stream:
                answers = Outgoing(stream)
                for line in LARGE:
                    assert await answers.write(line + "\n") == len(line) + 1
            done.set()

    found: list[str] = []
    anyio.run(write)
    os.close(reading), os.close(writing)
    assert found == LARGE
    assert turns > 10


def test_an_answer_that_has_begun_is_written_whole_though_its_call_is_cancelled() -> None:
    reading, writing = os.pipe()
    text = "x" * 1_000_000 + "\n"
    found: list[bytes] = []

    def read() -> None:
        while piece := os.read(reading, 1 << 16):
            found.append(piece)

    async def write() -> None:
        with open(writing, "w", encoding="utf-8") as stream, anyio.CancelScope() as scope:
            scope.cancel()
            await Outgoing(stream).write(text)

    reader = threading.Thread(target=read)
    reader.start()
    anyio.run(write)
    reader.join()
    os.close(reading)
    assert b"".join(found).decode() == text


def test_a_slow_client_with_an_end_that_does_not_block_gets_everything() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    found: list[bytes] = []

    def read() -> None:
        time.sleep(0.05)
        while piece := os.read(reading, 1 << 12):
            found.append(piece)

    async def write() -> None:
        with open(writing, "w", encoding="utf-8") as stream:
            await Outgoing(stream).write("y" * 500_000)

    reader = threading.Thread(target=read)
    reader.start()
    anyio.run(write)
    reader.join()
    os.close(reading)
    assert b"".join(found) == b"y" * 500_000


def test_answers_go_into_a_file_too_and_a_client_that_has_gone_is_found(tmp_path: Path) -> None:
    async def write(stream: io.TextIOWrapper) -> None:
        await Outgoing(stream).write("said\n")

    with (tmp_path / "answers").open("w") as stream:
        anyio.run(write, stream)
    assert (tmp_path / "answers").read_text() == "said\n"
    reading, writing = os.pipe()
    os.close(reading)

    async def write_for_nobody() -> bool:
        with open(writing, "w", encoding="utf-8") as stream:
            answers = Outgoing(stream)
            await answers.write("lost\n")
            return answers.broken.is_set()

    assert anyio.run(write_for_nobody)
