"""RPC methods about accounts."""

from base64 import b64decode
from typing import Any

from zmart_lite.localnet.context import RpcContext, with_context
from zmart_lite.localnet.params import Config, Params, decode_base58, invalid, read_pubkey, read_u64
from zmart_lite.localnet.runtime import Account, rent_exempt_minimum
from zmart_lite.localnet.wire import AccountForm, account_json, pubkey_text

ACCOUNTS_MAX = 100
FILTERS_MAX = 4
MEMCMP_BYTES_MAX = 128


def get_balance(context: RpcContext, params: Params) -> Any:
    key = params.pubkey(0)
    bank = context.bank(params.config(1))
    account = bank.account(key)
    return with_context(bank, account.lamports if account is not None else 0)


def get_account_info(context: RpcContext, params: Params) -> Any:
    key, config = params.pubkey(0), params.config(1)
    bank = context.bank(config)
    form = AccountForm.of(config)
    account = bank.account(key)
    return with_context(bank, None if account is None else account_json(key, account, form, bank.account))


def get_multiple_accounts(context: RpcContext, params: Params) -> Any:
    keys = [read_pubkey(text) for text in params.texts(0, ACCOUNTS_MAX)]
    config = params.config(1)
    bank = context.bank(config)
    form = AccountForm.of(config, "base64")
    found = ((key, bank.account(key)) for key in keys)
    rows = [None if account is None else account_json(key, account, form, bank.account) for key, account in found]
    return with_context(bank, rows)


def get_program_accounts(context: RpcContext, params: Params) -> Any:
    program_id, config = params.pubkey(0), params.config(1)
    bank = context.bank(config)
    form = AccountForm.of(config)
    filters = AccountFilters.of(config)
    rows = [
        {"account": account_json(key, account, form, bank.account), "pubkey": pubkey_text(key)}
        for key, account in bank.owned_by(program_id)
        if filters.accept(account)
    ]
    if config.flag("sortResults", default=True):
        rows.sort(key=lambda row: str(row["pubkey"]))
    return with_context(bank, rows) if config.flag("withContext") else rows


class AccountFilters:
    """``dataSize`` and ``memcmp`` conditions, all of which must hold."""

    def __init__(self, sizes: list[int], comparisons: list[tuple[int, bytes]]) -> None:
        self._sizes = sizes
        self._comparisons = comparisons

    @classmethod
    def of(cls, config: Config) -> "AccountFilters":
        asked = config.get("filters")
        if asked is None:
            return cls([], [])
        if not isinstance(asked, list):
            raise invalid("Invalid params: invalid type, expected a sequence.")
        if len(asked) > FILTERS_MAX:
            raise invalid(f"Too many filters provided; max {FILTERS_MAX}")
        sizes: list[int] = []
        comparisons: list[tuple[int, bytes]] = []
        for each in asked:
            match each:
                case {"dataSize": size}:
                    sizes.append(read_u64(size))
                case {"memcmp": {"offset": offset, "bytes": wanted} as fields}:
                    comparisons.append((read_u64(offset), _memcmp_bytes(wanted, fields.get("encoding"))))
                case _:
                    raise invalid("Invalid params: unknown filter, expected `dataSize` or `memcmp`.")
        return cls(sizes, comparisons)

    def accept(self, account: Account) -> bool:
        data = account.data
        return all(len(data) == size for size in self._sizes) and all(
            data[offset : offset + len(wanted)] == wanted for offset, wanted in self._comparisons
        )


def _memcmp_bytes(wanted: Any, encoding: Any) -> bytes:
    """The bytes of a memcmp filter: base58 unless told otherwise, base64, or plain numbers."""
    try:
        if isinstance(wanted, list):
            data = bytes(wanted)
        elif not isinstance(wanted, str):
            raise invalid("Invalid params: invalid type, expected a string.")
        elif encoding == "base64":
            data = b64decode(wanted, validate=True)
        elif encoding in (None, "base58", "binary"):
            data = decode_base58(wanted)
        else:
            raise invalid(f"Invalid params: unknown variant `{encoding}`, expected `base58` or `base64`.")
    except (ValueError, TypeError):
        raise invalid("Invalid param: the bytes of a memcmp filter cannot be decoded") from None
    if len(data) > MEMCMP_BYTES_MAX:
        raise invalid(f"Invalid param: a memcmp filter takes at most {MEMCMP_BYTES_MAX} bytes")
    return data


def get_minimum_balance_for_rent_exemption(_context: RpcContext, params: Params) -> Any:
    return rent_exempt_minimum(params.u64(0))


METHODS = {
    "getAccountInfo": get_account_info,
    "getBalance": get_balance,
    "getMinimumBalanceForRentExemption": get_minimum_balance_for_rent_exemption,
    "getMultipleAccounts": get_multiple_accounts,
    "getProgramAccounts": get_program_accounts,
}
