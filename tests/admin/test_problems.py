"""Every code of a problem has a status and a sentence."""

from __future__ import annotations

import json

import pytest

from aether.admin.problems import API_CODES, STATUS_OF, Problem, problem_response
from aether.domain.codes import CODES


def test_every_code_has_a_status_and_a_sentence() -> None:
    assert set(STATUS_OF) == set(API_CODES) | {code for code in CODES if code.startswith("authority_")}


@pytest.mark.parametrize("code", STATUS_OF)
def test_a_problem_names_its_code_its_request_and_its_field(code: str) -> None:
    response = problem_response(Problem(code, "it is so", field="scope"), "r-1")

    assert response.status == STATUS_OF[code]
    assert isinstance(response.body, bytes)
    assert json.loads(response.body) == {
        "type": "about:blank",
        "title": {**API_CODES, **CODES}[code],
        "status": STATUS_OF[code],
        "detail": "it is so",
        "code": code,
        "request_id": "r-1",
        "field": "scope",
    }
