"""Every refusal has one stable code from this one table: what it means, and what a person can do about it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

CODES: Mapping[str, str] = MappingProxyType(
    {
        # the gate: which names are ours
        "gate_unknown_pair": "Kraken's list has no such pair; check the spelling (BTC/USD, btc-usd, XBTUSD all work)",
        "gate_quote_not_usd": "only pairs quoted in US dollars are traded; stablecoins are not dollars",
        "gate_not_currency": "the base or quote is not of class currency (tokenised equities are not traded)",
        "gate_other_venue": "the pair executes on another venue than Kraken's own",
        "gate_dotted": "dark-pool and staked-asset pairs are not traded",
        "gate_incomplete": "Kraken's row of this pair lacks what an order needs",
        "gate_excluded_base": "the base is listed in symbols.excluded_bases (FX and stablecoins by default)",
        "gate_not_allowed": "the pair is not on the list symbols.trade",
        "gate_derivative": "futures, perpetuals and swaps are not traded",
        "gate_leveraged_token": "leveraged tokens are not traded, and Kraken lists none",
        "gate_margin": "margin and leverage do not exist here",
        "gate_ambiguous": "two of Kraken's pairs answer to this spelling; use BASE/USD",
        # risk: what an intent may be
        "risk_halted": "trading is halted in this scope until people resume it",
        "risk_held": "new risk is on hold until the cause named ends by itself",
        "risk_difference": "the account differs from the journal; nothing new until it agrees or a person accepts it",
        "risk_strategy_paused": "the strategy raised or answered nonsense and is paused",
        "risk_pair_status": "Kraken's status of the pair allows no new order",
        "risk_quote_stale": "the quote is older than risk.quote_age_ms_max",
        "risk_spread": "the spread is wider than risk.spread_bps_max",
        "risk_collar": "the limit price is further from the reference than risk.collar_bps",
        "risk_account_stale": "the account was last reconciled longer ago than risk.account_age_s_max",
        "risk_unresolved": "an order on this pair has an unknown outcome; nothing new until it is resolved",
        "risk_order_rate": "as many orders as risk.orders_per_minute_max or risk.orders_per_day_max allow were sent",
        "risk_order_spacing": "the last order of this strategy on this pair is younger than risk.order_spacing_s_min",
        "risk_duplicate": "an order of the same pair, side, size and price is younger than risk.duplicate_s",
        "risk_order_value": "the order is larger than risk.order_usd_max",
        "risk_nav_share": "the order is a larger share of equity than risk.order_nav_bps_max",
        "risk_cash": "free cash above the floor does not allow more (risk.cash_bps_max, risk.cash_floor_usd)",
        "risk_symbol_exposure": "the position in this pair would pass risk.exposure_symbol_bps_max of equity",
        "risk_total_exposure": "all positions together would pass risk.exposure_total_bps_max of equity",
        "risk_daily_loss": "the loss of this UTC day reached risk.daily_loss_bps_max",
        "risk_drawdown": "the drop from the highest equity reached risk.drawdown_bps_max",
        "risk_edge": "the expected edge does not pay fee, spread, slippage and margin",
        "risk_holding": "the strategy holds no more free coins to sell",
        # sizing
        "size_below_minimum": "after all limits and rounding the order is below Kraken's ordermin or costmin",
        # the venue's answers
        "venue_funds": "Kraken: insufficient funds",
        "venue_minimum": "Kraken: below the pair's minimum",
        "venue_tick": "Kraken: price or quantity off the pair's step",
        "venue_post_only": "Kraken: a post-only order would have taken",
        "venue_status": "Kraken: the market's status allows no such order",
        "venue_rate_limit": "Kraken: a rate limit is reached; nothing was executed",
        "venue_counter": "our count of Kraken's counter of the pair has no room for the order; the wait stands beside",
        "venue_open_orders": "as many orders rest on the pair as the account's tier allows; cancel one, or wait",
        "venue_deadline": "Kraken: the order came after its deadline",
        "venue_duplicate": "Kraken: the client order id is in use by an open order",
        "venue_invalid": "Kraken: the request's fields are refused",
        "venue_auth": "Kraken: key, signature, nonce or permission refused",
        "venue_session": "Kraken: the private stream's token is stale; the stream takes a fresh one by itself",
        "venue_other": "Kraken: another certain refusal; its own text stands beside",
        "venue_unreachable": "no byte of the order left: the venue could not be reached",
        "latched": "the halt's latch was set before the order was sent",
        # halts
        "halt_operator": "a person halted trading",
        "halt_flatten": "a person had the holdings sold; nothing new is bought until people resume",
        "halt_difference": "the account differs from the journal without explanation",
        "halt_strange_entry": "Kraken's ledger has a row of margin, credit or an unknown kind; look, then resume",
        "halt_daily_loss": "the daily loss limit was reached",
        "halt_drawdown": "the drawdown limit was reached",
        "halt_executions": "the strategy's orders filled as often as risk.executions_max allows; look, then resume",
        "halt_foreign_order": "a daemon's order is not in this journal: a second daemon, or an old journal",
        "halt_contract_broken": "the venue filled an order worse or larger than asked, or one it had refused",
        "halt_auth": "Kraken refused our key, signature, nonce or permission; check the key, start anew, resume",
        "halt_invariant": "what must always hold would have been broken; nothing was sent. Look at the journal",
        "halt_crash_loop": "too many starts in a short time",
        # authority
        "authority_role": "this role may not give this command",
        "authority_two_directors": "on the live account this takes two directors with fresh second factors",
        "authority_scope": "the scope is not one of all, symbol:PAIR, strategy:ID",
        "authority_not_halted": "nothing is halted in this scope",
        "authority_stopping": "the program is stopping",
    }
)
