"""The planted defects: FAULTS' list N, but for those that live in the rooms of people."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tests.planted.defect import Defect
from tests.planted.market import MARKET
from tests.planted.money import MONEY
from tests.planted.orders import ORDERS

DEFECTS: Mapping[str, Defect] = MappingProxyType(
    {defect.name: defect for defect in sorted((*ORDERS, *MONEY, *MARKET), key=lambda defect: defect.name)}
)

OF_PEOPLE: Mapping[str, str] = MappingProxyType(
    {
        "N25": "mode switch without drain",
        "N26": "same director twice",
        "N27": "approval not bound to the request",
        "N28": "audit row after the act",
        "N29": "TOTP cache by text",
        "N30": "JWT without `aud` check",
    }
)
"""There are no directors, logins, approvals or modes in the program yet: these are planted with them."""
