"""The embedded devnet: a Solana cluster of one program in one process, for development, demos and tests."""

from zmart_lite.localnet.node import DEFAULT_RPC_PORT, Localnet, LocalnetOptions

__all__ = ["DEFAULT_RPC_PORT", "Localnet", "LocalnetOptions"]
