// What an Anchor client adds to the verbs of web3.js: it decodes the market by the IDL.

import { web3Client } from "./web3js.mjs";

export function anchorClient({ AnchorProvider, Program, Wallet, web3 }, task, folder) {
  const client = web3Client(web3, task, folder);
  const provider = new AnchorProvider(client.connection, new Wallet(client.keys.get("alice")), { commitment: "confirmed" });
  const program = new Program(task.idl, provider);
  return {
    ...client,
    async decoded(address) {
      const { state, sharesYes, sharesNo } = await program.account.marketAccount.fetch(new web3.PublicKey(address));
      return { state: Object.keys(state)[0], sharesYes: String(sharesYes), sharesNo: String(sharesNo) };
    },
    async failure(signer, told) {
      const sent = await client.failure(signer, told);
      try {
        await program.methods.buyShares(true, new task.BN(1)).accountsPartial(task.trader).rpc();
      } catch (error) {
        return { ...sent, anchor: { name: error.constructor.name, ...error.error?.errorCode } };
      }
      return sent;
    },
  };
}
