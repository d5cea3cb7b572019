// Umi has no subscriptions: that part of the list is left out.

import { createSignerFromKeypair, publicKey, signerIdentity, lamports as lamportsOf } from "@metaplex-foundation/umi";
import { createUmi } from "@metaplex-foundation/umi-bundle-defaults";
import { base58 } from "@metaplex-foundation/umi/serializers";

export function connect(task) {
  const umi = createUmi(task.rpcUrl, { commitment: "confirmed" });
  const signers = new Map();
  for (const [name, secret] of Object.entries(task.secrets)) {
    const signer = createSignerFromKeypair(umi, umi.eddsa.createKeypairFromSecretKey(Uint8Array.from(secret)));
    signers.set(name, signer).set(String(signer.publicKey), signer);
  }
  umi.use(signerIdentity(signers.get("alice")));
  const instructionOf = ({ program, accounts, data }) => ({
    programId: publicKey(program),
    keys: accounts.map(({ address, signer, writable }) => ({ pubkey: publicKey(address), isSigner: signer, isWritable: writable })),
    data: Uint8Array.from(data),
  });

  async function built(signer, told, { nonce, lookup } = {}) {
    const latest = await umi.rpc.getLatestBlockhash();
    let transaction = umi.transactions.create({
      version: 0,
      payer: signers.get(signer).publicKey,
      instructions: told.map(instructionOf),
      blockhash: nonce ? nonce.value : latest.blockhash,
      addressLookupTables: lookup ? [{ publicKey: publicKey(lookup.address), addresses: lookup.addresses.map((each) => publicKey(each)) }] : [],
    });
    const addresses = told.flatMap(({ accounts }) => accounts.filter((each) => each.signer).map(({ address }) => address));
    for (const address of new Set([String(signers.get(signer).publicKey), ...addresses])) {
      transaction = await signers.get(address).signTransaction(transaction);
    }
    return { transaction, latest };
  }

  async function send(signer, told, options = {}) {
    const { transaction, latest } = await built(signer, told, options);
    const signature = await umi.rpc.sendTransaction(transaction, { preflightCommitment: "confirmed" });
    const { nonce } = options;
    const strategy = nonce
      ? { type: "durableNonce", minContextSlot: 0, nonceAccountPubkey: publicKey(nonce.address), nonceValue: nonce.value }
      : { type: "blockhash", ...latest };
    const { value } = await umi.rpc.confirmTransaction(signature, { strategy, commitment: "confirmed" });
    if (value.err) throw new Error(JSON.stringify(value.err));
    return base58.deserialize(signature)[0];
  }

  return {
    send,
    airdrop: (address, lamports) => umi.rpc.airdrop(publicKey(address), lamportsOf(lamports)),
    balance: async (address) => Number((await umi.rpc.getBalance(publicKey(address))).basisPoints),
    async told(signature) {
      const { meta, version } = await umi.rpc.getTransaction(base58.serialize(signature), { commitment: "confirmed" });
      const { fee, loadedAddresses } = meta;
      const [{ memo }] = await umi.rpc.call("getSignaturesForAddress", [task.alice, { limit: 1, commitment: "confirmed" }]);
      const loaded = [...(loadedAddresses?.writable ?? []), ...(loadedAddresses?.readonly ?? [])].map(String);
      return { err: meta.err, fee: Number(fee.basisPoints), version, memo, loaded };
    },
    async simulate(signer, told) {
      const found = await umi.rpc.simulateTransaction((await built(signer, told)).transaction, { commitment: "confirmed" });
      return { err: found.err, units: found.unitsConsumed, logs: found.logs };
    },
    async account(address, encoding) {
      if (encoding === "base64") return Buffer.from((await umi.rpc.getAccount(publicKey(address))).data).toString("hex");
      return (await umi.rpc.call("getAccountInfo", [address, { encoding, commitment: "confirmed" }])).value.data;
    },
    async failure(signer, told) {
      try {
        await send(signer, told);
      } catch (error) {
        return { name: error.constructor.name, told: `${error.message} ${error.logs}` };
      }
      return null;
    },
  };
}
