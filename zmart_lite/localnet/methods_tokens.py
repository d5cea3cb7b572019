"""RPC methods about token accounts. Without a token program there are none but those that somebody wrote by hand."""

from collections.abc import Iterator
from typing import Any

from zmart_lite.localnet.context import RpcContext, with_context
from zmart_lite.localnet.ledger import Bank
from zmart_lite.localnet.params import Params, invalid, read_pubkey
from zmart_lite.localnet.runtime import Account
from zmart_lite.localnet.tokens import TOKEN_PROGRAMS, Holding, amount_json, decimals_of, read_holding, read_mint
from zmart_lite.localnet.wire import AccountForm, account_json, pubkey_text

LARGEST_MAX = 20


def get_token_account_balance(context: RpcContext, params: Params) -> Any:
    key, bank = params.pubkey(0), context.bank(params.config(1))
    holding = read_holding(_existing(bank, key))
    if holding is None:
        raise invalid("Invalid param: not a Token account")
    decimals = decimals_of(holding.mint, bank.account)
    if decimals is None:
        raise invalid("Invalid param: could not find mint")
    return with_context(bank, amount_json(holding.amount, decimals))


def get_token_supply(context: RpcContext, params: Params) -> Any:
    key, bank = params.pubkey(0), context.bank(params.config(1))
    mint = read_mint(_existing(bank, key))
    if mint is None:
        raise invalid("Invalid param: not a Token mint")
    return with_context(bank, amount_json(mint.supply, mint.decimals))


def _existing(bank: Bank, key: bytes) -> Account:
    account = bank.account(key)
    if account is None:
        raise invalid("Invalid param: could not find account")
    return account


def get_token_largest_accounts(context: RpcContext, params: Params) -> Any:
    key, bank = params.pubkey(0), context.bank(params.config(1))
    program, decimals = _mint(bank, key)
    held = [(holding.amount, found) for found, _account, holding in _holdings(bank, program) if holding.mint == key]
    held.sort(reverse=True)
    rows = [{"address": pubkey_text(found)} | amount_json(amount, decimals) for amount, found in held[:LARGEST_MAX]]
    return with_context(bank, rows)


def get_token_accounts_by_owner(context: RpcContext, params: Params) -> Any:
    return _token_accounts(context, params, "owner")


def get_token_accounts_by_delegate(context: RpcContext, params: Params) -> Any:
    return _token_accounts(context, params, "delegate")


def _token_accounts(context: RpcContext, params: Params, role: str) -> Any:
    who, config = params.pubkey(0), params.config(2)
    bank = context.bank(config)
    form = AccountForm.of(config)
    program, mint = _filter(bank, params.require(1))
    rows = [
        {"account": account_json(key, account, form, bank.account), "pubkey": pubkey_text(key)}
        for key, account, holding in _holdings(bank, program)
        if getattr(holding, role) == who and (mint is None or holding.mint == mint)
    ]
    return with_context(bank, rows)


def _filter(bank: Bank, asked: Any) -> tuple[bytes, bytes | None]:
    """The token program, and the mint if one is named, of ``{mint}`` or ``{programId}``."""
    match asked:
        case {"mint": text}:
            mint = read_pubkey(text)
            return _mint(bank, mint)[0], mint
        case {"programId": text}:
            program = read_pubkey(text)
            if program not in TOKEN_PROGRAMS:
                raise invalid("Invalid param: unrecognized Token program id")
            return program, None
        case _:
            raise invalid("Invalid params: unknown variant, expected `mint` or `programId`.")


def _mint(bank: Bank, key: bytes) -> tuple[bytes, int]:
    """Program and decimals of a mint."""
    account = bank.account(key)
    if account is None:
        raise invalid("Invalid param: could not find mint")
    mint = read_mint(account)
    if mint is None:
        raise invalid("Invalid param: not a Token mint")
    return account.owner, mint.decimals


def _holdings(bank: Bank, program: bytes) -> Iterator[tuple[bytes, Account, Holding]]:
    for key, account in bank.owned_by(program):
        holding = read_holding(account)
        if holding is not None:
            yield key, account, holding


METHODS = {
    "getTokenAccountBalance": get_token_account_balance,
    "getTokenAccountsByDelegate": get_token_accounts_by_delegate,
    "getTokenAccountsByOwner": get_token_accounts_by_owner,
    "getTokenLargestAccounts": get_token_largest_accounts,
    "getTokenSupply": get_token_supply,
}
