"""The made exchange's refusals mean to the core, in process, what the client of Kraken reads in the same texts."""

from __future__ import annotations

import inspect
import re

import pytest

from aether.domain.inputs import SubmitRefused, SubmitUnknown
from aether.kraken.refusals import RefusalClass, classify
from aether.sim import admission, clearing, exchange, matching, pricing
from aether.sim.venue_words import refused_submit

_RAISED = re.compile(r'ExchangeRefusal\(f?"([^"]+)"\)')
_STATUSES = ("cancel_only", "reduce_only")  # those which stand for `{status}` in a text


def texts() -> list[str]:
    """Every text that the exchange can refuse a request with, as its sources have them."""
    found: set[str] = set()
    for module in (admission, clearing, exchange, matching, pricing):
        source = inspect.getsource(module)
        raised = _RAISED.findall(source)
        assert len(raised) == source.count("raise ExchangeRefusal("), (
            f"{module.__name__} refuses in a form unknown here"
        )
        found |= {text.format(status=status, field="volume") for text in raised for status in _STATUSES}
    return sorted(found)


def test_the_texts_are_found() -> None:
    assert {"EOrder:Invalid price", "EService:Market in reduce_only mode", "EOrder:Insufficient funds"} <= set(texts())
    assert not any("{" in text for text in texts())


@pytest.mark.parametrize("text", texts())
def test_a_refusal_means_the_same_in_process_and_on_the_wire(text: str) -> None:
    on_the_wire, here = classify(text), refused_submit("a1", text)
    if on_the_wire.kind is RefusalClass.UNKNOWN:
        assert here == SubmitUnknown("a1", text)
    else:
        assert here == SubmitRefused("a1", on_the_wire.code, text)
