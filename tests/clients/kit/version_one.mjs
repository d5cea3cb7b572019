// Version-1 transactions by @solana/kit, the first JavaScript client that can make them. Reads the devnet's address,
// a secret key and instructions from standard input; prints what the library sent and saw as one JSON document, which
// test_version_one.py judges.

import { readFileSync } from "node:fs";
import {
  address,
  appendTransactionMessageInstructions,
  createKeyPairSignerFromBytes,
  createSolanaRpc,
  createTransactionMessage,
  getBase64EncodedWireTransaction,
  getSignatureFromTransaction,
  pipe,
  setTransactionMessageConfig,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
} from "@solana/kit";

const { rpcUrl, secret, transactions } = JSON.parse(readFileSync(0));
const rpc = createSolanaRpc(rpcUrl);
const payer = await createKeyPairSignerFromBytes(Uint8Array.from(secret));
const confirmed = { commitment: "confirmed" };

function instructionOf({ program, accounts, data }) {
  return {
    programAddress: address(program),
    accounts: accounts.map(({ pubkey, role }) => ({
      address: address(pubkey),
      role,
      ...(pubkey === payer.address ? { signer: payer } : {}),
    })),
    data: Uint8Array.from(data),
  };
}

async function send({ config, instructions }) {
  const { value: latest } = await rpc.getLatestBlockhash(confirmed).send();
  const message = pipe(
    createTransactionMessage({ version: 1 }),
    (m) => setTransactionMessageFeePayerSigner(payer, m),
    (m) => setTransactionMessageLifetimeUsingBlockhash(latest, m),
    (m) => setTransactionMessageConfig(config, m),
    (m) => appendTransactionMessageInstructions(instructions.map(instructionOf), m),
  );
  const signed = await signTransactionMessageWithSigners(message);
  const wire = getBase64EncodedWireTransaction(signed);
  const signature = getSignatureFromTransaction(signed);
  const sent = await rpc.sendTransaction(wire, { encoding: "base64", preflightCommitment: "confirmed" }).send();
  const options = { ...confirmed, encoding: "json", maxSupportedTransactionVersion: 1 };
  const found = await rpc.getTransaction(signature, options).send();
  const refusal = await rpc
    .getTransaction(signature, { ...options, maxSupportedTransactionVersion: 0 })
    .send()
    .then(() => null, (error) => error.context?.__code ?? String(error));
  return { wire, signature, sent, found, refusal };
}

const seen = [];
for (const each of transactions) {
  seen.push(await send(each));
}
const plain = (_key, value) => (typeof value === "bigint" ? Number(value) : value);
process.stdout.write(JSON.stringify(seen, plain));
