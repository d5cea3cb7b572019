// Who acts on the devnet, and the ways they act: Anchor's client for each wallet, over one connection.

import anchor from "@coral-xyz/anchor";
import { Connection, Keypair, PublicKey } from "@solana/web3.js";

const { AnchorError, AnchorProvider, BN, EventParser, Program, Wallet } = anchor;

const WAIT_MS = 15_000;

export class Stage {
  constructor({ rpcUrl, idl, secrets, feeWallet }) {
    this.rpcUrl = rpcUrl;
    // The address for subscriptions is left to the library: one port above.
    this.connection = new Connection(rpcUrl, "confirmed");
    this.idl = idl;
    this.feeWallet = new PublicKey(feeWallet);
    const named = Object.entries(secrets).map(([name, secret]) => [name, Keypair.fromSecretKey(Uint8Array.from(secret))]);
    this.keys = Object.fromEntries(named);
    this.programs = Object.fromEntries(named.map(([name, key]) => [name, this.programOf(key)]));
    this.program = this.programs.creator;
    this.parser = new EventParser(this.program.programId, this.program.coder);
    this.events = [];
  }

  programOf(key) {
    const options = { commitment: "confirmed", preflightCommitment: "confirmed" };
    return new Program(this.idl, new AnchorProvider(this.connection, new Wallet(key), options));
  }

  key(name) {
    return this.keys[name].publicKey;
  }

  // The IDL derives a market's address from the market's own data, so it is the one address the library cannot find.
  marketAddress(marketId) {
    return PublicKey.findProgramAddressSync([Buffer.from("market"), Buffer.from(marketId)], this.program.programId)[0];
  }

  // One instruction by one wallet, confirmed over the subscription; notes the event it emitted.
  async act(who, method, args, accounts) {
    const signature = await this.programs[who].methods[method](...args).accountsPartial(accounts).rpc();
    return this.noteEvents(signature);
  }

  async noteEvents(signature) {
    const options = { commitment: "confirmed", maxSupportedTransactionVersion: 0 };
    const found = await this.connection.getTransaction(signature, options);
    for (const event of this.parser.parseLogs(found.meta.logMessages)) {
      this.events.push({ name: event.name, data: plain(event.data), signature });
    }
    return found;
  }

  // How the call fails, as the library names it.
  async failure(who, method, args, accounts) {
    try {
      await this.programs[who].methods[method](...args).accountsPartial(accounts).rpc();
    } catch (error) {
      return describe(error);
    }
    throw new Error(`${method} did not fail`);
  }

  // How a call fails that is sent without the check before it: it lands, is paid for, and has changed nothing.
  async landedFailure(who, method, args, accounts) {
    const { connection } = this;
    const transaction = await this.programs[who].methods[method](...args).accountsPartial(accounts).transaction();
    transaction.recentBlockhash = (await connection.getLatestBlockhash()).blockhash;
    const signature = await connection.sendTransaction(transaction, [this.keys[who]], { skipPreflight: true });
    const told = expectation("a signature");
    connection.onSignature(signature, told.keep, "confirmed");
    const { err } = await told.promise;
    const { meta } = await connection.getTransaction(signature, { commitment: "confirmed", maxSupportedTransactionVersion: 0 });
    return { ...describe(AnchorError.parse(meta.logMessages)), err, metaErr: meta.err, fee: meta.fee };
  }

  async devtool(method, fields) {
    const body = { jsonrpc: "2.0", id: 1, method: `localnet_${method}`, params: [fields] };
    const headers = { "Content-Type": "application/json" };
    const answer = await (await fetch(this.rpcUrl, { method: "POST", headers, body: JSON.stringify(body) })).json();
    if (answer.error) throw new Error(JSON.stringify(answer.error));
    return answer.result;
  }
}

function describe(error) {
  if (error instanceof AnchorError) {
    const { errorCode, origin } = error.error;
    const from = typeof origin === "string" ? origin : null;
    return { kind: "AnchorError", ...errorCode, program: error.program.toBase58(), origin: from };
  }
  return { kind: error.constructor.name, message: error.message, logs: error.logs ?? null };
}

// A decoded value as JSON carries it: big numbers and keys as text, bytes as hex, enum variants by name.
export function plain(value) {
  if (value === null || typeof value !== "object") return value;
  if (BN.isBN(value) || value instanceof PublicKey) return value.toString();
  if (Array.isArray(value) || value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  const entries = Object.entries(value);
  if (entries.length === 1 && Object.keys(entries[0][1] ?? { one: 1 }).length === 0) return entries[0][0];
  return Object.fromEntries(entries.map(([name, each]) => [name, plain(each)]));
}

// A promise and the function that keeps it, with a limit.
export function expectation(what) {
  let keep;
  const promise = new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${what} did not come`)), WAIT_MS);
    keep = (value) => {
      clearTimeout(timer);
      resolve(value);
    };
  });
  return { promise, keep };
}
