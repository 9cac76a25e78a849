"""All that can go wrong in a made world: the classes that a seed turns on and off, and the kinds of fault in each.

A kind bears the numbers of the rows of the fault model that it makes happen by itself, so that a run can say which rows
it showed. A row that needs a coincidence (a fill before its answer) is counted where it is seen, not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class FaultClass(StrEnum):
    """One line of the fault mix: off, rare or heavy as a whole."""

    CALLS = "calls"
    LATENCY = "latency"
    STREAM = "stream"
    VIEW_LAG = "view_lag"
    REFUSALS = "refusals"
    MARKET = "market"
    OTHERS = "others"
    DEATH = "death"
    CLOCK = "clock"
    DISK = "disk"
    PROCESS = "process"
    PEOPLE = "people"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to go wrong. `rows` are the rows of the fault model that it shows whenever it strikes."""

    name: str
    fault_class: FaultClass
    rows: tuple[str, ...]
    meaning: str


def _kinds(fault_class: FaultClass, *rows: tuple[str, str, str]) -> tuple[Kind, ...]:
    return tuple(Kind(name, fault_class, tuple(shown.split()), meaning) for name, shown, meaning in rows)


_CATALOGUE = (
    *_kinds(
        FaultClass.CALLS,
        ("request_lost", "A03", "a private request never arrives"),
        ("response_lost", "A01 A02", "a private request is carried out, and its answer never comes"),
        ("response_doubled", "A06", "the answer to a private request comes twice"),
    ),
    *_kinds(FaultClass.LATENCY, ("slow", "", "a message takes up to `upto_ms` instead of some 50 ms")),
    *_kinds(
        FaultClass.STREAM,
        ("cut", "B01", "a socket is cut without a closing frame"),
        ("closed_1008", "B01", "a socket is closed with code 1008"),
        ("stale_token", "B14", "every WebSocket token is stale"),
        ("socket_mute", "B08", "a socket stays open and sends nothing for `for_ms`"),
        ("heartbeats_only", "B07", "a socket sends heartbeats and nothing else for `for_ms`"),
        ("channel_mute", "A14 B07", "one channel is silent for `for_ms` while the others speak"),
        ("no_snapshot", "B09", "a subscription is acknowledged and its snapshot never comes"),
        ("sequence_gap", "B02", "a frame of a private channel is lost, and its number with it"),
        ("repeated_frame", "A10", "a frame of a private channel comes twice"),
        ("repeated_fills", "A11", "the latest fills are told once more after a snapshot"),
        ("late_ack", "A07 A08", "an order's answer comes after its first execution records"),
        ("unknown_enums", "B16", "a new, unknown word in every enumeration of a frame"),
        ("unknown_fields", "B16", "new, unknown fields in every object of a frame"),
        ("plain_text", "D01", "a frame that is no JSON at all"),
        ("bad_checksum", "B03 B04", "a book update bears a wrong checksum"),
        ("lost_book_frame", "B03", "a book update is lost"),
        ("double_entry", "B05", "a book update names one price twice"),
        ("crossed_book", "B10", "a whole book is told with its best bid above its best ask"),
    ),
    *_kinds(FaultClass.VIEW_LAG, ("view_lag", "A20", "REST shows orders and fills up to `upto_ms` late")),
    *_kinds(
        FaultClass.REFUSALS,
        ("bad_gateway", "A05 C11", "carried out, and answered 502 with a page of HTML"),
        ("unavailable", "C09", "EService:Unavailable, carried out or not"),
        ("busy", "C09", "EService:Busy, carried out or not"),
        ("deadline_elapsed", "C09", "carried out, and answered EService:Deadline elapsed"),
        ("internal_error", "C10", "EGeneral:Internal error, carried out or not"),
        ("throttled", "C06", "EService: Throttled: and a time"),
        ("rate_limited", "C04", "EAPI:Rate limit exceeded"),
        ("order_rate_limit", "C05 A32", "the trading counter of every pair is full"),
        ("lockout", "C07", "EGeneral:Temporary lockout"),
        ("invalid_nonce", "C01", "EAPI:Invalid nonce, as after reordered requests"),
        ("captcha", "C12", "403 with a page that wants a person"),
        ("too_many", "C12", "429 with a page of HTML"),
        ("mixed_errors", "C15", "several errors at once, one of them unknown, and a result"),
        ("unknown_error", "C16", "carried out, and answered with a text that nobody has seen before"),
        ("empty_body", "C17", "carried out, and answered 200 with nothing in it"),
        ("text_in_text", "C17", "carried out, and answered with JSON inside a JSON string"),
        ("connect_refused", "C18 B13", "no link can be made, so that no byte leaves"),
        ("insufficient_funds", "A28 C14", "EOrder:Insufficient funds although there are some"),
    ),
    *_kinds(
        FaultClass.MARKET,
        ("maintenance", "E01", "the whole exchange is in maintenance for `for_ms`: no orders, no cancels"),
        ("cancel_only", "E01 C13", "the whole exchange takes only cancels for `for_ms`"),
        ("post_only", "E01 C13", "the whole exchange takes only makers for `for_ms`"),
        ("pair_cancel_only", "E02 C13", "a pair takes only cancels for `for_ms`"),
        ("pair_post_only", "E02 C13", "a pair takes only makers for `for_ms`"),
        ("pair_maintenance", "E02", "a pair is in maintenance for `for_ms`"),
        ("delisting", "E06 A24", "a pair is shut and its orders end, with or without a holding, for `for_ms`"),
        ("tick_change", "E03", "a pair has another price step"),
        ("lot_change", "E03", "a pair has another quantity step"),
        ("minimum_change", "E03 C14", "a pair has other least orders"),
        ("price_jump", "B11", "a pair's price jumps by `percent`, and comes back after `for_ms`"),
    ),
    *_kinds(
        FaultClass.OTHERS,
        ("human_order", "A23", "a person places an order on the same account, and takes it back after `for_ms`"),
        ("human_trade", "E10", "a person trades on the same account"),
        ("human_cancel", "A24", "a person cancels one of our orders"),
        ("human_amend", "A25", "a person amends one of our orders"),
        ("dead_man", "A30 A24", "the dead man's switch of the account fires"),
        ("twin", "H03", "a second daemon, on a copy of our journal, places an order"),
        ("many_fills", "A12", "more than 50 fills of a person's orders in one moment"),
        ("deposit", "E08", "dollars or coins are deposited"),
        ("withdrawal", "E08", "dollars or coins are withdrawn"),
        ("reward", "E08", "a reward is credited"),
        ("earn_move", "E09", "coins move into earn, or out of it"),
        ("unknown_asset", "E13", "an asset that nobody has heard of is credited"),
    ),
    *_kinds(
        FaultClass.DEATH,
        ("kill", "G04 H04 H09", "SIGKILL `after` turns of the loop"),
        ("kill_at_disk", "G04 H04 H09", "SIGKILL at the disk operation `after` this many"),
        ("power_loss", "G05 H04", "the power fails at the disk operation `after` this many"),
    ),
    *_kinds(
        FaultClass.CLOCK,
        ("step_forward", "F02 F03", "the wall clock jumps ahead by `by_ms`"),
        ("step_back", "F01 F03", "the wall clock jumps back by `by_ms`"),
        ("suspend", "F04", "the machine sleeps for `for_ms`"),
        ("drift", "F03", "the wall clock runs wrong by `ppm` for `for_ms`"),
    ),
    *_kinds(
        FaultClass.DISK,
        ("disk_full", "G02", "the disk is full for `for_ms`"),
        ("low_space", "G02", "the disk has less than its reserve for `for_ms`"),
        ("io_error", "G03", "the next disk operation fails"),
        ("failed_fsync", "G03", "the next fsync fails, and what it was to save is lost"),
        ("disk_stall", "", "each disk operation takes `by_ms` for `for_ms`"),
    ),
    *_kinds(
        FaultClass.PROCESS,
        ("loop_stall", "H06", "the event loop stands still for `for_ms`"),
        ("task_dies", "H07 G07", "an exception ends the task `task`"),
        ("strategy_raises", "H10", "the strategy raises"),
        ("strategy_nonsense", "H10", "the strategy asks for nonsense"),
        ("strategy_overruns", "H10", "the strategy thinks for too long, and is interrupted"),
    ),
    *_kinds(
        FaultClass.PEOPLE,
        ("people_halt", "K08", "a person halts everything"),
        ("people_halt_symbol", "K08", "a person halts one symbol"),
        ("people_halt_strategy", "K08", "a person halts one strategy"),
        ("people_halt_in_maintenance", "J11 K08", "a person halts and cancels while the exchange is in maintenance"),
        ("cancel_all", "", "a person cancels all of our orders"),
        ("flatten", "", "a person has everything sold"),
        ("restart", "H01 H04", "a person stops the daemon in order and starts it again"),
        ("stop_twice", "H02 H04", "a second signal comes while the daemon stops"),
    ),
    *_kinds(FaultClass.MALFORMED, ("malformed", "", "a message is hurt on its way; the row depends on the wound")),
)

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _CATALOGUE}
"""By name."""
