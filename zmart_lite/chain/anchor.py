"""anchorpy for our IDL: it reads the form of Anchor before 0.30 only, so it is given that view of ours.

Its log parser is not used: it takes events from what any program prints and stops at the first line it cannot read.
"""

import json
import re
from typing import Any

from anchorpy.program.core import Program
from anchorpy.provider import Provider
from anchorpy_core.idl import Idl
from solders.pubkey import Pubkey

from zmart_lite.codec import Codec


def legacy_idl(idl: dict[str, Any]) -> dict[str, Any]:
    """``idl`` (specification 0.1.0) in the older form: camelCase names, isMut/isSigner, publicKey, fields inline.

    Explicit discriminators are lost, which is right as long as they are the default ones, as this program's are. Pure.
    """
    types = {entry["name"]: _type_definition(entry["type"]) for entry in idl["types"]}
    inline = {entry["name"] for entry in (*idl["accounts"], *idl["events"])}
    return {
        "version": idl["metadata"]["version"],
        "name": idl["metadata"]["name"],
        "instructions": [_instruction(entry) for entry in idl["instructions"]],
        "accounts": [{"name": entry["name"], "type": types[entry["name"]]} for entry in idl["accounts"]],
        "types": [{"name": name, "type": kind} for name, kind in types.items() if name not in inline],
        "events": [{"name": entry["name"], "fields": _event_fields(types, entry)} for entry in idl["events"]],
        "errors": [{"code": error["code"], "name": error["name"], "msg": error.get("msg")} for error in idl["errors"]],
    }


def anchor_program(codec: Codec, provider: Provider) -> Program:
    """anchorpy's view of the program. Without a provider it would read the operator's own key file."""
    return Program(Idl.from_json(json.dumps(legacy_idl(codec.idl))), Pubkey.from_bytes(codec.program_id), provider)


def _camel(name: str) -> str:
    return re.sub(r"_(.)", lambda found: found[1].upper(), name)


def _instruction(entry: dict[str, Any]) -> dict[str, Any]:
    accounts = [
        {"name": _camel(each["name"]), "isMut": each.get("writable", False), "isSigner": each.get("signer", False)}
        for each in entry["accounts"]
    ]
    return {"name": _camel(entry["name"]), "accounts": accounts, "args": _fields(entry["args"])}


def _event_fields(types: dict[str, Any], entry: dict[str, Any]) -> list[dict[str, Any]]:
    return [field | {"index": False} for field in types[entry["name"]]["fields"]]


def _fields(fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"name": _camel(field["name"]), "type": _type(field["type"])} for field in fields]


def _type_definition(definition: dict[str, Any]) -> dict[str, Any]:
    if definition["kind"] == "enum":
        return definition
    return {"kind": "struct", "fields": _fields(definition["fields"])}


def _type(kind: Any) -> Any:
    if isinstance(kind, str):
        return "publicKey" if kind == "pubkey" else kind
    if "option" in kind:
        return {"option": _type(kind["option"])}
    if "array" in kind:
        return {"array": [_type(kind["array"][0]), kind["array"][1]]}
    return {"defined": kind["defined"]["name"]}
