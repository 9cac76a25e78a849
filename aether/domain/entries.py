"""What the venue's own ledger says: one row for each change of one balance, and what kinds of change there are.

Source: Kraken docs, Get Ledgers Info (types and subtypes); rows captured from live accounts. Kraken adds kinds without
notice, so a kind is its own text, and one that is not in the table here is STRANGE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

from aether.domain.values import MONEY


class Nature(StrEnum):
    """What a row means for profit and loss.

    TRADE is bought or sold, so that what it costs is a loss like any other. MOVED came, went or changed its wallet by
    people's will or Kraken's correction, and is neither profit nor loss. INCOME was earned. STRANGE has no place on a
    spot account that trades its own money: margin, credit, and every word that is not known.
    """

    TRADE = "trade"
    MOVED = "moved"
    INCOME = "income"
    STRANGE = "strange"


_NATURES: Mapping[str, Nature] = MappingProxyType(
    {
        **dict.fromkeys(("trade", "spend", "receive", "sale", "conversion", "nfttrade"), Nature.TRADE),
        **dict.fromkeys(("deposit", "withdrawal", "transfer", "adjustment", "custodytransfer", "earn"), Nature.MOVED),
        **dict.fromkeys(("staking", "reward", "dividend", "nftrebate", "nft_rebate", "invite bonus"), Nature.INCOME),
    }
)
_INCOME_SUBTYPES = frozenset({"reward", "bonus"})  # of `earn`, whose other rows move coins between wallets


@dataclass(frozen=True, slots=True)
class AccountEntry:
    """One row of the venue's ledger: the balance of `asset` moved by `amount` - `fee`, and was `balance` afterwards.

    `refid` ties rows of one act together; of a trade it is the execution's id. `kind` and `subtype` are Kraken's words,
    `asset` is the v2 name, where a wallet's suffix (`BTC.F`) makes an asset of its own. `balance` is None where the row
    does not say it; `venue_ns` is in the venue's time.
    """

    entry_id: str
    refid: str
    kind: str
    subtype: str
    asset: str
    amount: Decimal
    fee: Decimal
    balance: Decimal | None
    venue_ns: int

    @property
    def net(self) -> Decimal:
        """By how much the balance moved, signed."""
        return MONEY.subtract(self.amount, self.fee)


def nature_of(kind: str, subtype: str) -> Nature:
    """What rows of this kind are.

    Example:
        `nature_of("earn", "allocation")` is MOVED, `nature_of("earn", "reward")` INCOME, `nature_of("rollover", "")`
        STRANGE.
    """
    nature = _NATURES.get(kind, Nature.STRANGE)
    return Nature.INCOME if nature is Nature.MOVED and subtype in _INCOME_SUBTYPES else nature
