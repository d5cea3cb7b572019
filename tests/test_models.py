"""The nouns agree with the IDL, and hold what they are given."""

import json
import typing

import pytest

from zmart_lite import models, resources

IDL = json.loads(resources.read_text("zmart_core.idl.json"))
TYPES = {entry["name"]: entry["type"] for entry in IDL["types"]}
ACCOUNTS = [entry["name"] for entry in IDL["accounts"]]
EVENTS = [entry["name"] for entry in IDL["events"]]


def expected_type(idl_type: object) -> object:
    """The Python type for an IDL type."""
    if isinstance(idl_type, str):
        return {"bool": bool, "pubkey": bytes}.get(idl_type, int)
    assert isinstance(idl_type, dict)
    if "array" in idl_type:
        return bytes
    if "option" in idl_type:
        return expected_type(idl_type["option"]) | None
    return getattr(models, idl_type["defined"]["name"])


@pytest.mark.parametrize("name", ACCOUNTS + EVENTS)
def test_fields_and_types_are_the_idls(name: str) -> None:
    model = getattr(models, name)
    fields = {field["name"]: expected_type(field["type"]) for field in TYPES[name]["fields"]}
    assert model._fields == tuple(fields)
    assert typing.get_type_hints(model) == fields


def test_the_unions_name_every_account_and_event() -> None:
    assert {each.__name__ for each in typing.get_args(models.ChainAccount)} == set(ACCOUNTS)
    assert {each.__name__ for each in typing.get_args(models.ChainEvent)} == {*EVENTS, "WinningsClaimedLegacy"}


def test_every_type_of_the_idl_has_a_model() -> None:
    assert all(hasattr(models, name) for name in TYPES)


def test_commitments_are_ordered_as_they_settle() -> None:
    assert models.Commitment.PROCESSED < models.Commitment.CONFIRMED < models.Commitment.FINALIZED
    assert [each.name.lower() for each in models.Commitment] == ["processed", "confirmed", "finalized"]


def test_models_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        models.ParsedLogs((), True).complete = False  # type: ignore[misc]
