// The list that every client of the matrix goes through: `node play.mjs CLIENT` reads the task from standard input and
// prints what the client saw as one JSON document; test_matrix.py judges it. CLIENT is a folder with packages of its
// own and a client.mjs, which says the same list's verbs in the words of its library.

import { readFileSync } from "node:fs";

const WAIT_MS = 20_000;

export async function withLimit(what, promise) {
  let timer;
  const limit = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come`)), WAIT_MS);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}

async function devtool(task, method, fields) {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: `localnet_${method}`, params: [fields] });
  const answer = await (await fetch(task.rpcUrl, { method: "POST", headers: { "Content-Type": "application/json" }, body })).json();
  if (answer.error) throw new Error(JSON.stringify(answer.error));
}

async function market(task, client) {
  for (const { signer, instructions, seconds } of task.market) {
    if (seconds) await devtool(task, "warp", { seconds });
    await client.send(signer, instructions);
  }
  return client.account(task.marketAddress, "base64");
}

async function encodings(task, client) {
  const found = {};
  for (const encoding of task.encodings) found[encoding] = await client.account(task.small, encoding);
  return found;
}

async function nonce(task, client) {
  const { create, advance, transfer, address, authority } = task.nonce;
  await client.send("alice", create);
  const before = await client.account(address, "jsonParsed");
  const value = before.parsed.info.blockhash;
  const signature = await client.send("alice", [...advance, ...transfer], { nonce: { address, authority, value } });
  const after = await client.account(address, "jsonParsed");
  return { type: before.parsed.type, advanced: after.parsed.info.blockhash !== value, ...(await client.told(signature)) };
}

async function lookup(task, client) {
  const { create, transfer, address, addresses } = task.lookup;
  await client.send("alice", create);
  const table = await client.account(address, "jsonParsed");
  await devtool(task, "produceBlocks", 1);
  const signature = await client.send("alice", transfer, { lookup: { address, addresses } });
  return { type: table.parsed.type, addresses: table.parsed.info.addresses, ...(await client.told(signature)) };
}

async function main() {
  const task = JSON.parse(readFileSync(0, "utf8"));
  const { connect } = await import(`./${process.argv[2]}/client.mjs`);
  const client = await connect(task);
  const heard = client.listen ? await client.listen({ account: task.receiver, program: task.programId }) : {};
  const seen = {};
  await client.airdrop(task.fresh, 2_000_000_000);
  seen.airdrop = await client.balance(task.fresh);
  const signature = await client.send("alice", task.transfer);
  seen.transfer = { balance: await client.balance(task.receiver), ...(await client.told(signature)) };
  // The slot that the table is named after is a recent one only for so long.
  seen.lookup = await lookup(task, client);
  seen.memo = await client.told(await client.send("alice", task.memo));
  seen.simulated = await client.simulate("alice", task.transfer);
  seen.encodings = await encodings(task, client);
  seen.clock = await client.account("SysvarC1ock11111111111111111111111111111111", "jsonParsed");
  seen.failure = await client.failure("alice", task.tooMuch);
  seen.nonce = await nonce(task, client);
  seen.market = await market(task, client);
  if (client.decoded) seen.decoded = await client.decoded(task.marketAddress);
  seen.heard = {};
  for (const [name, promise] of Object.entries(heard)) seen.heard[name] = await withLimit(name, promise);
  client.close?.();
  process.stdout.write(JSON.stringify(seen, (_key, value) => (typeof value === "bigint" ? String(value) : value)), () => process.exit(0));
}

await main();
