import anchor from "@anchor-lang/core";
import { anchorClient } from "../anchor.mjs";

export const connect = (task) => anchorClient(anchor, { ...task, BN: anchor.BN }, import.meta.url);
