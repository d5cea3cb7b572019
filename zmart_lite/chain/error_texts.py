"""What a failed transaction means, for the people who wanted it, by the name of its error."""

from collections.abc import Mapping

_NO_SOL = "the wallet has too little SOL for the costs and the network's fee"
_NOT_NOW = "the market is not in the state that this needs"
_NUMBERS = "the amounts are beyond what the program can compute"

TEXTS: Mapping[str, str] = {
    # Of the runtime and the System program
    "AccountNotFound": "the wallet has no SOL on this cluster, so it cannot pay",
    "InsufficientFundsForFee": _NO_SOL,
    "InsufficientFundsForRent": "an account would be left with less SOL than it has to keep",
    "SystemInsufficientFunds": _NO_SOL,
    "SystemAccountInUse": "it has been done already",
    "BlockhashNotFound": "the transaction is too old, or for another cluster; ask for a new one",
    "AlreadyProcessed": "this transaction has been executed already",
    "PrivilegeEscalation": "the deployed program cannot pay this out",
    "ProgramAccountNotFound": "the program is not on this cluster",
    # Of the program
    "InvalidMarketState": _NOT_NOW,
    "InvalidStateTransition": _NOT_NOW,
    "InvalidStateForVoting": "this market is not voted on now",
    "ProtocolPaused": "the protocol is paused",
    "CannotCancelMarket": "only a market that has not been activated can be cancelled",
    "MarketAlreadyCancelled": "the market has been cancelled already",
    "InsufficientShares": "the wallet holds fewer shares",
    "SlippageExceeded": "the price has moved further than allowed",
    "InsufficientLiquidity": "the market's account does not hold as much",
    "InvalidLiquidity": "the initial liquidity is not allowed",
    "InvalidBParameter": "the market's liquidity parameter does not allow it",
    "TradeTooSmall": "the trade is too small",
    "DisputePeriodEnded": "the time for disputing is over",
    "DisputePeriodNotEnded": "the time for disputing is not over yet",
    "AlreadyClaimed": "it has been claimed already",
    "NoWinnings": "there is nothing to claim",
    "NoVotesRecorded": "no votes have been recorded on chain",
    "InsufficientVotes": "too few of the recorded votes are in favour",
    "Unauthorized": "this wallet may not do it",
    "InvalidResolver": "the market has another resolver",
    "InvalidTimestamp": "the time for it has not come, or the clock is behind",
    "InsufficientFunds": "the market's account does not hold as much",
    "WouldBreakRentExemption": "the market's account would be left with less than it has to keep",
    "BoundedLossExceeded": "the market would lose more than it may",
    "OverflowError": _NUMBERS,
    "UnderflowError": _NUMBERS,
    "ExponentTooLarge": _NUMBERS,
    "DivisionByZero": "the protocol's fees are all zero, or an amount is",
    # Of the framework
    "AccountNotInitialized": "an account that it needs does not exist",
}


def explained(name: str) -> str:
    """``SlippageExceeded: the price has moved further than allowed``; the bare name where there is no more to say."""
    return f"{name}: {TEXTS[name]}" if name in TEXTS else name
