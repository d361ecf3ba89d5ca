"""The short form of `python -m proof.bad_input`, and that it sees what it looks for."""

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from proof.bad_input import service
from proof.bad_input.__main__ import drive, violations
from proof.bad_input.corpus import corpus
from proof.bad_input.drive import choose
from proof.bad_input.judge import PROBLEM, Fault, fault_of
from proof.bad_input.places import Operation, cases
from proof.bad_input.service import ServiceReport
from proof.bad_input.value import Kind
from proof.bad_input.wire import Answer, NoAnswer, exchange
from tests.fakes.rawhttp import answering, hang_up, raw_server

REFUSED = {"type": "about:blank", "title": "No", "status": 422, "detail": "because", "code": "no"}
GENERATE = Operation(
    method="POST",
    path="/jobs/{job_id}",
    queries=("limit",),
    fields={"prompt": {"type": "string"}, "parameters": {"type": "object"}},
    required=("prompt",),
)


def answer(status: int = 200, body: Any = b"{}", media_type: str = "application/json") -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status=status, headers=(("content-type", media_type),), body=raw)


def test_the_corpus_has_a_thousand_values_of_every_kind_each_with_a_name_of_its_own() -> None:
    assert len(corpus()) >= 1000
    assert {value.kind for value in corpus()} == set(Kind)
    assert Counter(value.label for value in corpus()).most_common(1)[0][1] == 1


async def test_a_server_withstands_odd_requests(tmp_path: Path) -> None:
    report = await drive(300, 7, tmp_path)
    assert report.requests == 300
    assert violations(report, ServiceReport()) == []


async def test_the_job_service_keeps_or_refuses_odd_values(tmp_path: Path) -> None:
    report = await service.run(tmp_path, corpus()[:180:3], lambda _done, _total: None)
    assert report.kept > 50
    assert report.refused > 20
    assert report.faults == []


def test_every_value_has_its_turn_before_any_comes_again() -> None:
    every = list(cases(GENERATE, {"job_id": "1"}, corpus()))
    assert {case.value.label for case in every} == {value.label for value in corpus()}
    chosen = choose(every, 1300, Random(1))
    assert {case.value.label for case in chosen} == {value.label for value in corpus()}
    assert {case.place for case in chosen} == {case.place for case in every}


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (answer(), None),
        (answer(500, REFUSED, PROBLEM), Fault.SERVER_ERROR),
        (answer(503), Fault.SERVER_ERROR),
        (answer(422, REFUSED, PROBLEM), None),
        (answer(422, REFUSED), Fault.NO_PROBLEM),
        (answer(422, REFUSED | {"detail": ""}, PROBLEM), Fault.NO_PROBLEM),
        (answer(404, REFUSED, PROBLEM), Fault.NO_PROBLEM),
        (answer(422, b"", PROBLEM), Fault.NO_PROBLEM),
        (answer(404, b"Not Found", "text/plain"), Fault.NO_PROBLEM),
        (answer(400, b"Invalid HTTP request received.", "text/plain"), None),
        (answer(400, b"Bad Request", "text/plain"), Fault.NO_PROBLEM),
        (answer(200, b'{"a": NaN}'), Fault.NO_JSON),
        (answer(200, b'{"a": "\xff"}'), Fault.NO_JSON),
        (answer(200, b"\xff", "image/png"), None),
    ],
)
def test_the_judge_tells_a_good_answer_from_a_bad_one(given: Answer, fault: Fault | None) -> None:
    assert fault_of(given, "GET", api=True) == fault


async def test_a_connection_that_ends_without_an_answer_is_seen() -> None:
    async with raw_server(hang_up) as server:
        with pytest.raises(NoAnswer):
            await exchange(server.port, b"GET / HTTP/1.1\r\n\r\n")


async def test_an_answer_is_read_with_all_that_is_in_it() -> None:
    chunks = b"4\r\nfile\r\n2\r\n!!\r\n0\r\n\r\n"
    said = b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    async with raw_server(answering(said)) as server:
        read = await exchange(server.port, b"GET / HTTP/1.1\r\n\r\n")
    assert (read.status, read.header("x"), read.body) == (200, "y", b"file!!")
