"""What the node's keys allow it to do, said at start, before anything fails for the lack of them."""

from solders.pubkey import Pubkey

from zmart_lite.jobs.actions import Keys
from zmart_lite.models import GlobalConfig


def check_keys(keys: Keys, config: GlobalConfig | None) -> list[str]:
    """A sentence for each key that is missing or wrong, with what to do. ``config`` None: not known yet."""
    found: list[str] = []
    if keys.backend is None:
        found.append("No backend key: votes are not recorded and markets not settled. Set chain.backend_keypair.")
    elif config is not None and bytes(keys.backend.pubkey()) != config.backend_authority:
        found.append(
            f"The backend key {keys.backend.pubkey()} is not the protocol's authority"
            f" {Pubkey(config.backend_authority)}: the program will refuse it. Set chain.backend_keypair."
        )
    if keys.admin is None:
        found.append("No admin key: passed proposals wait for the admin's wallet. chain.admin_keypair is optional.")
    elif config is not None and bytes(keys.admin.pubkey()) != config.admin:
        found.append(
            f"The admin key {keys.admin.pubkey()} is not the protocol's admin {Pubkey(config.admin)}:"
            " the program will refuse it. Set or remove chain.admin_keypair."
        )
    return found
