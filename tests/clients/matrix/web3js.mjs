// The verbs of the list by a given @solana/web3.js, version 1: also what Anchor's clients stand on.

import { readFileSync } from "node:fs";

export function web3Client(web3, task, folder) {
  const { AddressLookupTableAccount, Connection, Keypair, PublicKey, TransactionInstruction, TransactionMessage, VersionedTransaction } = web3;
  const connection = new Connection(task.rpcUrl, "confirmed");
  const keys = new Map();
  for (const [name, secret] of Object.entries(task.secrets)) {
    const pair = Keypair.fromSecretKey(Uint8Array.from(secret));
    keys.set(name, pair).set(pair.publicKey.toBase58(), pair);
  }
  const instructionOf = ({ program, accounts, data }) =>
    new TransactionInstruction({
      programId: new PublicKey(program),
      keys: accounts.map(({ address, signer, writable }) => ({ pubkey: new PublicKey(address), isSigner: signer, isWritable: writable })),
      data: Buffer.from(data),
    });
  const signersOf = (signer, told) => {
    const addresses = told.flatMap(({ accounts }) => accounts.filter((each) => each.signer).map(({ address }) => address));
    return [...new Set([keys.get(signer).publicKey.toBase58(), ...addresses])].map((address) => keys.get(address));
  };

  async function built(signer, told, { nonce, lookup } = {}) {
    const latest = await connection.getLatestBlockhash();
    const payerKey = keys.get(signer).publicKey;
    const recentBlockhash = nonce ? nonce.value : latest.blockhash;
    const message = new TransactionMessage({ payerKey, recentBlockhash, instructions: told.map(instructionOf) });
    const tables = lookup ? [(await connection.getAddressLookupTable(new PublicKey(lookup.address))).value] : [];
    if (tables.some((each) => !(each instanceof AddressLookupTableAccount))) throw new Error("no lookup table");
    const transaction = new VersionedTransaction(message.compileToV0Message(tables));
    transaction.sign(signersOf(signer, told));
    return { transaction, latest };
  }

  async function send(signer, told, options = {}) {
    const { transaction, latest } = await built(signer, told, options);
    const signature = await connection.sendTransaction(transaction);
    const { nonce } = options;
    const strategy = nonce
      ? { signature, minContextSlot: 0, nonceAccountPubkey: new PublicKey(nonce.address), nonceValue: nonce.value }
      : { signature, ...latest };
    const { value } = await connection.confirmTransaction(strategy, "confirmed");
    if (value.err) throw new Error(JSON.stringify(value.err));
    return signature;
  }

  const bytesOf = (data) => Buffer.from(data).toString("hex");
  return {
    connection,
    keys,
    send,
    async airdrop(address, lamports) {
      const latest = await connection.getLatestBlockhash();
      const signature = await connection.requestAirdrop(new PublicKey(address), lamports);
      await connection.confirmTransaction({ signature, ...latest }, "confirmed");
    },
    balance: (address) => connection.getBalance(new PublicKey(address)),
    async told(signature) {
      const { meta, version } = await connection.getTransaction(signature, { commitment: "confirmed", maxSupportedTransactionVersion: 0 });
      const [{ memo }] = await connection.getSignaturesForAddress(keys.get("alice").publicKey, { limit: 1 }, "confirmed");
      const { readonly, writable } = meta.loadedAddresses;
      return { err: meta.err, fee: meta.fee, version, memo, loaded: [...writable, ...readonly].map(String) };
    },
    async simulate(signer, told) {
      const { value } = await connection.simulateTransaction((await built(signer, told)).transaction);
      return { err: value.err, units: value.unitsConsumed, logs: value.logs };
    },
    async account(address, encoding) {
      const key = new PublicKey(address);
      if (encoding === "jsonParsed") return (await connection.getParsedAccountInfo(key)).value.data;
      if (encoding === "base64") return bytesOf((await connection.getAccountInfo(key)).data);
      // The library itself asks for base64 only; its raw request takes the others.
      const answer = await connection._rpcRequest("getAccountInfo", [address, { encoding, commitment: "confirmed" }]);
      return answer.result.value.data;
    },
    async failure(signer, told) {
      try {
        await send(signer, told);
      } catch (error) {
        return { name: error.constructor.name, told: `${error.message} ${error.logs}` };
      }
      return null;
    },
    async listen({ account, program }) {
      const heard = {};
      const first = (name, subscribe) => (heard[name] = new Promise((resolve) => subscribe(resolve)));
      first("account", (tell) => connection.onAccountChange(new PublicKey(account), (info) => tell(info.lamports)));
      first("program", (tell) => connection.onProgramAccountChange(new PublicKey(program), ({ accountInfo }) => tell(accountInfo.data.length)));
      first("logs", (tell) => connection.onLogs(new PublicKey(program), (entry) => tell(entry.err)));
      first("slot", (tell) => connection.onSlotChange(({ slot, parent }) => tell(slot - parent)));
      first("slotsUpdates", (tell) => connection.onSlotUpdate(({ type }) => type === "frozen" && tell(type)));
      first("root", (tell) => connection.onRootChange((root) => tell(typeof root)));
      const clock = new PublicKey("SysvarC1ock11111111111111111111111111111111");
      // Subscriptions are sent lazily; one that is told proves that those before it are known to the server.
      await new Promise((resolve) => connection.onAccountChange(clock, resolve));
      return heard;
    },
    version: JSON.parse(readFileSync(new URL("./node_modules/@solana/web3.js/package.json", folder))).version,
  };
}
