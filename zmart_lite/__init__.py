"""The off-chain side of the ZMART prediction-market protocol on Solana, in one process."""

__version__ = "0.1.0"
