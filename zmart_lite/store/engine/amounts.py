"""How u64 amounts are kept: as text of 20 digits, exact over the whole range and ordered like the numbers."""

U64_DIGITS = 20
U64_MAX = 2**64 - 1


def u64_text(value: int) -> str:
    """``value`` as the database keeps it. Raises ValueError outside 0 … 2^64-1."""
    if not 0 <= value <= U64_MAX:
        raise ValueError(f"{value} is not a u64")
    return str(value).rjust(U64_DIGITS, "0")
