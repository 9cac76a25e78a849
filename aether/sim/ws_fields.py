"""What a WebSocket v2 request may contain: which fields each method and channel knows, and their JSON types."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

TEXT = "string"
TEXTS = "array"
OBJECT = "object"
FLAG = "boolean"
INTEGER = "number_integer"
NUMBER = "number_float"

Kinds = Mapping[str, str]

PUBLIC_CHANNELS: Mapping[str, Kinds] = {
    "instrument": {"snapshot": FLAG, "include_tokenized_assets": FLAG, "execution_venue": TEXT},
    "ticker": {"symbol": TEXTS, "event_trigger": TEXT, "snapshot": FLAG},
    "book": {"symbol": TEXTS, "depth": INTEGER, "snapshot": FLAG},
    "trade": {"symbol": TEXTS, "snapshot": FLAG},
    "ohlc": {"symbol": TEXTS, "interval": INTEGER, "snapshot": FLAG},
}

PRIVATE_CHANNELS: Mapping[str, Kinds] = {
    "executions": {
        "snap_orders": FLAG,
        "snap_trades": FLAG,
        "snapshot": FLAG,
        "snapshot_trades": FLAG,
        "order_status": FLAG,
        "ratecounter": FLAG,
        "rebased": FLAG,
        "users": TEXT,
        "token": TEXT,
    },
    "balances": {"snapshot": FLAG, "rebased": FLAG, "users": TEXT, "token": TEXT},
}

ADD_ORDER: Kinds = {
    "order_type": TEXT,
    "side": TEXT,
    "symbol": TEXT,
    "order_qty": NUMBER,
    "limit_price": NUMBER,
    "limit_price_type": TEXT,
    "time_in_force": TEXT,
    "post_only": FLAG,
    "cl_ord_id": TEXT,
    "order_userref": INTEGER,
    "deadline": TEXT,
    "validate": FLAG,
    "fee_preference": TEXT,
    "stp_type": TEXT,
    "margin": FLAG,
    "reduce_only": FLAG,
    "no_mpp": FLAG,
    "cash_order_qty": NUMBER,
    "display_qty": NUMBER,
    "effective_time": TEXT,
    "expire_time": TEXT,
    "sender_sub_id": TEXT,
    "triggers": OBJECT,
    "conditional": OBJECT,
    "token": TEXT,
}

# What the whole batch names once stands in none of its orders.
BATCH_ORDER: Kinds = {
    name: kind for name, kind in ADD_ORDER.items() if name not in ("symbol", "deadline", "validate", "token")
}

TRADING: Mapping[str, Kinds] = {
    "add_order": ADD_ORDER,
    "amend_order": {
        "order_id": TEXT,
        "cl_ord_id": TEXT,
        "order_qty": NUMBER,
        "limit_price": NUMBER,
        "limit_price_type": TEXT,
        "trigger_price": NUMBER,
        "trigger_price_type": TEXT,
        "display_qty": NUMBER,
        "post_only": FLAG,
        "deadline": TEXT,
        "symbol": TEXT,
        "token": TEXT,
    },
    "edit_order": {
        "order_id": TEXT,
        "symbol": TEXT,
        "order_qty": NUMBER,
        "limit_price": NUMBER,
        "display_qty": NUMBER,
        "order_userref": INTEGER,
        "post_only": FLAG,
        "reduce_only": FLAG,
        "no_mpp": FLAG,
        "fee_preference": TEXT,
        "triggers": OBJECT,
        "deadline": TEXT,
        "validate": FLAG,
        "token": TEXT,
    },
    "batch_add": {"symbol": TEXT, "orders": TEXTS, "deadline": TEXT, "validate": FLAG, "token": TEXT},
    "batch_cancel": {"orders": TEXTS, "cl_ord_id": TEXTS, "token": TEXT},
    "cancel_order": {"order_id": TEXTS, "cl_ord_id": TEXTS, "order_userref": TEXTS, "token": TEXT},
    "cancel_all": {"token": TEXT},
    "cancel_all_orders_after": {"timeout": INTEGER, "token": TEXT},
}


TRIGGERS: Kinds = {"price": NUMBER, "price_type": TEXT, "reference": TEXT}


class SocketRefusal(Exception):
    """The request is refused with this text; `also` are further fields of the answer."""

    def __init__(self, text: str, **also: object) -> None:
        super().__init__(text)
        self.text = text
        self.also = also


def check_fields(fields: Mapping[str, object], kinds: Kinds, method: str) -> None:
    """Raise SocketRefusal for a field that the method does not know, or one of another JSON type."""
    for name, value in fields.items():
        kind = kinds.get(name)
        if kind is None:
            raise SocketRefusal(f"Unsupported field: '{name}' for the given msg type: {method}")
        if not _is_kind(value, kind):
            raise SocketRefusal(f"{name.capitalize()} field must be {'an' if kind in (TEXTS, OBJECT) else 'a'} {kind}")


def _is_kind(value: object, kind: str) -> bool:
    if kind == TEXT:
        return isinstance(value, str)
    if kind == FLAG:
        return isinstance(value, bool)
    if kind == TEXTS:
        return isinstance(value, list)
    if kind == OBJECT:
        return isinstance(value, dict)
    if isinstance(value, bool):
        return False
    return isinstance(value, int) if kind == INTEGER else isinstance(value, int | Decimal)


def texts(fields: Mapping[str, object], name: str) -> list[str]:
    """The strings of an array field, empty if it is not there. Raises SocketRefusal for other elements."""
    value = fields.get(name, [])
    assert isinstance(value, list), "the field's type was checked before"
    if not all(isinstance(item, str) for item in value):
        raise SocketRefusal(f"{name.capitalize()} field must be an array of strings")
    return list(value)
