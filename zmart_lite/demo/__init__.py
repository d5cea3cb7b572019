"""What ``dev``, ``demo`` and ``selftest`` play: markets' lives as separate wallets live them, over HTTP."""
