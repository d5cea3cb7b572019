/** What the tests with a node share. ZMART_URL names the node; cutting a connection is done by a real TCP relay. */

import { connect, createServer } from 'node:net';

import { BurnerWallet, Zmart } from '../../static/zmart.js';

export const url = process.env.ZMART_URL;
const DAY_MS = 86_400_000;

/** A funded wallet, signed in. */
export async function signedIn(sol = 20) {
  const zmart = new Zmart(url);
  const wallet = await BurnerWallet.generate();
  if (sol) await zmart.post('/api/devnet/airdrop', { wallet: wallet.address, sol });
  await zmart.signIn(wallet);
  return { zmart, wallet };
}

/** A PROPOSED market of that wallet; its id. */
export async function createMarket(zmart, question) {
  const { chain_time: now } = await zmart.get('/api/protocol');
  const { landed } = await zmart.act('/api/markets', { question, category: 'science', end_date: Date.parse(now) + DAY_MS, initial_liquidity: '1000000000' });
  return landed.market_id;
}

/** Resolves as soon as `look` returns something true; the test's own time limit ends it otherwise. */
export async function until(look) {
  for (;;) {
    const found = await look();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A relay before the node whose connections can be cut, as a network does. */
export async function relay() {
  const sockets = new Set();
  const node = new URL(url);
  const server = createServer((client) => {
    const upstream = connect(Number(node.port), node.hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => sockets.delete(socket));
    }
    client.pipe(upstream).pipe(client);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    cut: () => sockets.forEach((socket) => socket.destroy()),
    close: () => {
      sockets.forEach((socket) => socket.destroy());
      server.close();
    },
  };
}

/** Offsets of the public feed after `from`, as the node tells them by polling. */
export async function offsetsAfter(zmart, from) {
  const { events } = await zmart.get('/api/events/latest', { after: from, limit: 100, types: 'market_state,trade,vote,discussion,claims_enabled' });
  return events.map(({ offset }) => offset);
}
