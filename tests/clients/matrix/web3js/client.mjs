import * as web3 from "@solana/web3.js";
import { web3Client } from "../web3js.mjs";

export const connect = (task) => web3Client(web3, task, import.meta.url);
