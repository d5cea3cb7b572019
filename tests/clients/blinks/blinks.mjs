/* A client that unfolds a market's link, as wallets and chats do: it finds the action, reads it, has a transaction made,
   signs and sends it. Reads {url, rpcUrl, market, secret} and writes what it saw. */
import { Connection, Keypair } from '@solana/web3.js';
import { fetchTransaction } from '@solana/actions';
import { Action, ActionsURLMapper } from '@dialectlabs/blinks-core';

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const { url, rpcUrl, market, secret } = JSON.parse(Buffer.concat(chunks).toString());
const keypair = Keypair.fromSecretKey(Uint8Array.from(secret));
const connection = new Connection(rpcUrl, 'confirmed');

const mapper = new ActionsURLMapper(await (await fetch(`${url}/actions.json`)).json());
const found = String(mapper.mapUrl(new URL(`${url}/markets/${market}`)));
const action = await Action.fetch(found);
const seen = {
  found,
  title: action.title,
  disabled: action.disabled,
  version: action.metadata.version,
  blockchainIds: action.metadata.blockchainIds,
  links: action.actions.map(({ label, href, parameters }) => ({ label, href, parameters: parameters?.map(({ name, type }) => `${name} ${type}`) ?? [] })),
};

const { href } = action.actions[0];
const response = await fetch(new URL(href, url), { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ account: keypair.publicKey.toBase58() }) });
seen.following = (await response.json()).links.next.action.type;
const made = await fetchTransaction(connection, new URL(href, url), { account: keypair.publicKey.toBase58() });
const transaction = made.transaction ?? made;
transaction.sign(keypair);
seen.signature = await connection.sendRawTransaction(transaction.serialize());
await connection.confirmTransaction(seen.signature, 'confirmed');
console.log(JSON.stringify(seen));
process.exit(0);
