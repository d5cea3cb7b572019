// A market's whole life by @solana/web3.js and @coral-xyz/anchor. Reads who and where from standard input, prints what
// the libraries saw as one JSON document; test_web3js.py judges it.

import { readFileSync } from "node:fs";
import anchor from "@coral-xyz/anchor";
import {
  ComputeBudgetProgram,
  Keypair,
  LAMPORTS_PER_SOL,
  PublicKey,
  SystemProgram,
  TransactionInstruction,
  TransactionMessage,
  VersionedTransaction,
} from "@solana/web3.js";
import { Stage, expectation, plain } from "./people.mjs";

const { BN, Program } = anchor;
const SOL = new BN(LAMPORTS_PER_SOL);
const MARKET_ID = Array(32).fill(1);
const QUESTION = [...Buffer.from("Q".repeat(46))];
const EVIDENCE = [...Buffer.from("E".repeat(46))];
const MEMO_PROGRAM = new PublicKey("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr");
const UNIT_LIMIT = 300_000;
const UNIT_PRICE = 1_000;

function listen(stage, market) {
  const { connection, program } = stage;
  const account = expectation("an account change");
  const inProgram = expectation("a program account change");
  const logs = expectation("logs");
  const slot = expectation("a slot");
  const seen = [];
  for (const { name } of program.idl.events) {
    program.addEventListener(name, (data, _slot, signature) => seen.push({ name, data: plain(data), signature }));
  }
  connection.onAccountChange(market, (info, context) => account.keep({ space: info.data.length, slot: context.slot }));
  connection.onProgramAccountChange(program.programId, ({ accountId }) => inProgram.keep(accountId.toBase58()), {
    commitment: "confirmed",
    filters: [{ dataSize: 488 }],
  });
  connection.onLogs(market, (entry) => logs.keep({ signature: entry.signature, lines: entry.logs.length, err: entry.err }));
  connection.onSlotChange((entry) => slot.keep(entry.slot - entry.parent));
  const promises = { account, inProgram, logs, slot };
  return {
    seen,
    all: async () => {
      const entries = Object.entries(promises).map(async ([name, each]) => [name, await each.promise]);
      return Object.fromEntries(await Promise.all(entries));
    },
  };
}

// The subscriptions are sent lazily; one that is told proves that those before it are known to the server.
async function subscribed(stage) {
  const told = expectation("the clock");
  const id = stage.connection.onAccountChange(new PublicKey("SysvarC1ock11111111111111111111111111111111"), told.keep);
  await told.promise;
  await stage.connection.removeAccountChangeListener(id);
}

async function openMarket(stage, market) {
  await stage.act("creator", "createMarket", [MARKET_ID, SOL.muln(1000), SOL, QUESTION], {});
  for (const [who, vote] of [["alice", true], ["bob", true], ["carol", true], ["resolver", false]]) {
    await stage.act(who, "submitProposalVote", [vote], { market });
  }
  await stage.act("backend", "aggregateProposalVotes", [3, 1], { market });
  await stage.act("admin", "approveProposal", [], { market });
  await stage.act("creator", "activateMarket", [], { market });
}

async function trade(stage, market) {
  const accounts = { market, protocolFeeWallet: stage.feeWallet };
  const simulated = await stage.programs.alice.methods.buyShares(true, SOL).accountsPartial(accounts).simulate();
  await stage.act("alice", "buyShares", [true, SOL], accounts);
  await stage.act("bob", "buyShares", [false, SOL.muln(2)], accounts);
  const versioned = await buyVersioned(stage, accounts);
  await stage.act("bob", "sellShares", [false, SOL.divn(2), new BN(0)], accounts);
  const events = simulated.events.map(({ name, data }) => ({ name, data: plain(data) }));
  return { simulated: events, versioned };
}

// A v0 transaction with a compute budget and a memo around the program's instruction.
async function buyVersioned(stage, accounts) {
  const { connection } = stage;
  const buyer = stage.keys.carol;
  const buy = await stage.programs.carol.methods.buyShares(false, SOL.muln(3)).accountsPartial(accounts).instruction();
  const { blockhash, lastValidBlockHeight } = await connection.getLatestBlockhash();
  const instructions = [
    ComputeBudgetProgram.setComputeUnitLimit({ units: UNIT_LIMIT }),
    ComputeBudgetProgram.setComputeUnitPrice({ microLamports: UNIT_PRICE }),
    buy,
    new TransactionInstruction({ keys: [], programId: MEMO_PROGRAM, data: Buffer.from("three SOL on NO") }),
  ];
  const message = new TransactionMessage({ payerKey: buyer.publicKey, recentBlockhash: blockhash, instructions });
  const transaction = new VersionedTransaction(message.compileToV0Message());
  transaction.sign([buyer]);
  const fee = (await connection.getFeeForMessage(transaction.message)).value;
  const simulated = await simulateVersioned(connection, transaction, accounts.market);
  const signature = await connection.sendTransaction(transaction);
  const confirmed = await connection.confirmTransaction({ signature, blockhash, lastValidBlockHeight });
  const found = await stage.noteEvents(signature);
  const [row] = await connection.getSignaturesForAddress(buyer.publicKey, { limit: 1 }, "confirmed");
  const { version, meta } = found;
  return { fee, simulated, err: confirmed.value.err, version, paid: meta.fee, memo: row.memo, units: meta.computeUnitsConsumed };
}

async function simulateVersioned(connection, transaction, market) {
  const { value } = await connection.simulateTransaction(transaction, {
    accounts: { encoding: "base64", addresses: [market.toBase58()] },
    innerInstructions: true,
    replaceRecentBlockhash: true,
  });
  const [account] = value.accounts;
  const space = Buffer.from(account.data[0], "base64").length;
  return { err: value.err, units: value.unitsConsumed, space, inner: value.innerInstructions?.length ?? null };
}

async function settle(stage, market) {
  await stage.devtool("warp", { seconds: 60 });
  await stage.act("resolver", "resolveMarket", [true, EVIDENCE], { market });
  await stage.devtool("warp", { seconds: 60 });
  await stage.act("bob", "initiateDispute", [], { market });
  for (const [who, vote] of [["bob", true], ["carol", true], ["alice", false]]) {
    await stage.act(who, "submitDisputeVote", [vote], { market });
  }
  await stage.act("backend", "finalizeMarket", [2, 1], { market });
  for (const who of ["bob", "carol"]) {
    await stage.act(who, "claimWinnings", [], { market, resolver: stage.key("resolver") });
  }
  await stage.act("creator", "withdrawLiquidity", [], { market });
}

async function govern(stage) {
  await stage.act("admin", "updateGlobalConfig", [300, 200, 500, 7000, 6000, null, new BN(172_800)], {});
  await stage.act("admin", "emergencyPause", [], {});
  await stage.act("admin", "emergencyPause", [], {});
  const id = Array(32).fill(2);
  await stage.act("creator", "createMarket", [id, SOL.muln(100), SOL, QUESTION], {});
  await stage.act("admin", "cancelMarket", [], { market: stage.marketAddress(id) });
}

async function failures(stage, market) {
  const trading = { market, protocolFeeWallet: stage.feeWallet };
  const tooSmall = new BN(9_999);
  return {
    tooSmall: await stage.failure("alice", "buyShares", [true, tooSmall], trading),
    landed: await stage.landedFailure("alice", "buyShares", [true, tooSmall], trading),
    noPosition: await stage.failure("resolver", "sellShares", [true, SOL, new BN(0)], trading),
    notBackend: await stage.failure("alice", "aggregateDisputeVotes", [1, 1], { market, backendAuthority: stage.key("alice") }),
    notAdmin: await stage.failure("alice", "cancelMarket", [], { market, admin: stage.key("alice") }),
    twice: await stage.failure("creator", "createMarket", [MARKET_ID, SOL, SOL, QUESTION], {}),
  };
}

async function expiry(stage) {
  const { connection } = stage;
  const { blockhash } = await connection.getLatestBlockhash();
  const lastValidBlockHeight = (await connection.getBlockHeight()) - 1;
  const signature = anchor.utils.bytes.bs58.encode(Buffer.alloc(64, 7));
  try {
    await connection.confirmTransaction({ signature, blockhash, lastValidBlockHeight });
  } catch (error) {
    return error.name;
  }
  throw new Error("a transaction nobody sent was confirmed");
}

async function airdrop(stage) {
  const { connection } = stage;
  const target = Keypair.generate().publicKey;
  const latest = await connection.getLatestBlockhash();
  const signature = await connection.requestAirdrop(target, 2 * LAMPORTS_PER_SOL);
  const { value } = await connection.confirmTransaction({ signature, ...latest }, "finalized");
  return { err: value.err, balance: await connection.getBalance(target, "finalized") };
}

async function readAccounts(stage, market) {
  const { program } = stage;
  const positionOf = (who) => {
    const seeds = [Buffer.from("position"), market.toBuffer(), stage.key(who).toBuffer()];
    return PublicKey.findProgramAddressSync(seeds, program.programId)[0];
  };
  const owners = ["alice", "bob", "carol"];
  const positions = await program.account.userPosition.fetchMultiple(owners.map(positionOf));
  const ofBob = { memcmp: { offset: 40, bytes: stage.key("bob").toBase58() } };
  const raw = await stage.connection.getProgramAccounts(program.programId, {
    filters: [{ dataSize: 83 }, ofBob],
    dataSlice: { offset: 72, length: 2 },
  });
  const config = PublicKey.findProgramAddressSync([Buffer.from("global-config")], program.programId)[0];
  return {
    market: plain(await program.account.marketAccount.fetch(market)),
    balance: await stage.connection.getBalance(market),
    positions: Object.fromEntries(owners.map((who, index) => [who, plain(positions[index])])),
    config: plain(await program.account.globalConfig.fetch(config)),
    bobsPositions: (await program.account.userPosition.all([ofBob])).length,
    bobsVotes: raw.map(({ account }) => account.data.toString("hex")).sort(),
    markets: (await program.account.marketAccount.all()).length,
    missing: await program.account.marketAccount.fetchNullable(stage.key("alice")),
    publishedIdl: await Program.fetchIdl(program.programId, program.provider),
  };
}

async function readChain(stage, signatures) {
  const { connection } = stage;
  const options = { commitment: "confirmed", maxSupportedTransactionVersion: 0 };
  const batch = await connection.getTransactions(signatures, options);
  const parsed = await connection.getParsedTransaction(signatures[0], options);
  await connection.confirmTransaction(signatures[0], "finalized");
  const slot = parsed.slot;
  const block = await connection.getBlock(slot, { maxSupportedTransactionVersion: 0 });
  const statuses = await connection.getSignatureStatuses(signatures, { searchTransactionHistory: true });
  const history = await connection.getSignaturesForAddress(stage.program.programId, { limit: 1000 }, "confirmed");
  return {
    batch: batch.map((each) => each.meta.err),
    inner: parsed.meta.innerInstructions.map(({ instructions }) => instructions.map((each) => each.parsed.type)),
    inBlock: block.transactions.some(({ transaction }) => transaction.signatures[0] === signatures[0]),
    blockTime: block.blockTime === (await connection.getBlockTime(slot)),
    blocks: (await connection.getBlocks(slot, slot)).length,
    finalized: statuses.value[0].confirmationStatus,
    statuses: statuses.value.every((each) => each.err === null),
    history: history.filter(({ err }) => err === null).map(({ signature }) => signature),
    failedInHistory: history.filter(({ err }) => err !== null).length,
    rent: await connection.getMinimumBalanceForRentExemption(488),
    slots: [await connection.getSlot("finalized"), await connection.getSlot("processed")],
    fees: (await connection.getRecentPrioritizationFees()).every(({ prioritizationFee }) => prioritizationFee >= 0),
    valid: (await connection.isBlockhashValid((await connection.getLatestBlockhash()).blockhash)).value,
    version: (await connection.getVersion())["solana-core"],
    genesis: await connection.getGenesisHash(),
    epochSlots: (await connection.getEpochInfo()).slotsInEpoch,
    systemProgram: (await connection.getParsedAccountInfo(SystemProgram.programId)).value.executable,
    supply: (await connection.getSupply()).value.total > 0,
  };
}

async function main() {
  const stage = new Stage(JSON.parse(readFileSync(0, "utf8")));
  const market = stage.marketAddress(MARKET_ID);
  const listening = listen(stage, market);
  await subscribed(stage);
  await openMarket(stage, market);
  const trading = await trade(stage, market);
  const failed = await failures(stage, market);
  await settle(stage, market);
  await govern(stage);
  const signatures = stage.events.map(({ signature }) => signature);
  return {
    events: stage.events,
    ...trading,
    failures: failed,
    airdrop: await airdrop(stage),
    accounts: await readAccounts(stage, market),
    chain: await readChain(stage, signatures),
    expiry: await expiry(stage),
    notified: await listening.all(),
    heard: listening.seen,
  };
}

main().then(
  (report) => process.stdout.write(JSON.stringify(report), () => process.exit(0)),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
