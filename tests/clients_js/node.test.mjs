/** The client against a real node on its devnet. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ApiError, NetworkError, Zmart } from '../../static/zmart.js';
import { createMarket, offsetsAfter, relay, signedIn, until, url } from './support.mjs';

const LIMIT = { timeout: 60_000 };

test('reads, and typed errors', LIMIT, async () => {
  const zmart = new Zmart(`${url}/`);
  assert.equal((await zmart.get('/api/protocol')).cluster, 'localnet');
  assert.equal((await zmart.get('/api/markets', { limit: 0, state: null, q: undefined })).limit, 0);
  await assert.rejects(zmart.get('/api/markets/nothing'), (error) => error instanceof ApiError && error.status === 404 && error.code === 'NOT_FOUND' && error.requestId !== null);
  await assert.rejects(zmart.get('/api/markets', { limit: 'x', sort: 'y' }), (error) => error.fields.length === 2);
  await assert.rejects(zmart.post('/api/markets', {}), (error) => error.status === 400 || error.reason === 'missing');
  await assert.rejects(new Zmart('http://127.0.0.1:1').get('/status'), NetworkError);
});

test('signing in, a session that renews itself, signing out', LIMIT, async () => {
  const { zmart, wallet } = await signedIn(0);
  assert.equal((await zmart.get('/api/auth/me')).wallet, wallet.address);
  const first = zmart.session.token;
  await new Zmart(url).post('/api/auth/logout').catch(() => {});
  const other = new Zmart(url);
  other.session = zmart.session;
  await other.signOut();
  assert.equal((await zmart.get('/api/auth/me')).wallet, wallet.address, 'a revoked token is replaced');
  assert.notEqual(zmart.session.token, first);
  zmart.session.expiresAtMs = Date.now() + 1_000;
  const [one, two] = await Promise.all([zmart.get('/api/auth/me'), zmart.get('/api/auth/me')]);
  assert.equal(one.expires_at, two.expires_at, 'two calls share one renewal');
  await zmart.signOut();
  await assert.rejects(zmart.get('/api/auth/me'), (error) => error.status === 401);
});

test('a transaction is built, signed, sent and indexed', LIMIT, async () => {
  const { zmart, wallet } = await signedIn();
  const id = await createMarket(zmart, 'Does the client carry a market to the chain?');
  const market = await zmart.get(`/api/markets/${id}`);
  assert.deepEqual([market.state, market.creator], ['PROPOSED', wallet.address]);
  const { vote } = await zmart.post('/api/votes/proposal', { market_id: id, vote: 'like' });
  assert.equal(vote.user_wallet, wallet.address);
  await assert.rejects(zmart.post('/api/votes/proposal', { market_id: id, vote: 'like' }), (error) => error.reason === 'already_voted');
});

test('server-sent events go on without a gap after every cut', LIMIT, async () => {
  const { zmart } = await signedIn();
  const id = await createMarket(zmart, 'Do events stream without a gap?');
  const road = await relay();
  const client = new Zmart(road.url);
  const stop = new AbortController();
  const got = [];
  const states = [];
  let from = null;
  const reading = (async () => {
    for await (const message of client.stream({ signal: stop.signal, onState: (state) => states.push(state) })) {
      if (message.type === 'subscribed') from ??= message.data.head;
      else got.push(message.offset);
    }
  })();
  await until(() => from !== null);
  for (let i = 0; i < 4; i++) {
    await zmart.post(`/api/discussions/${id}`, { content: `post ${i}` });
    if (i % 2 === 0) road.cut();
  }
  const wanted = await until(async () => {
    const found = await offsetsAfter(zmart, from);
    return found.length >= 4 && found;
  });
  await until(() => got.length >= wanted.length);
  assert.deepEqual(got, wanted);
  assert.ok(states.includes('waiting'));
  stop.abort();
  await reading;
  road.close();
});

test('a WebSocket goes on without a gap after every cut, with its private channels', LIMIT, async () => {
  const { zmart, wallet } = await signedIn();
  const id = await createMarket(zmart, 'Does the socket come back without a gap?');
  const road = await relay();
  const client = new Zmart(road.url);
  await client.signIn(wallet);
  const got = [];
  const feed = client.connect({ channels: ['public', `user:${wallet.address}`], onMessage: (message) => got.push(message) });
  await until(() => got.some(({ type }) => type === 'subscribed'));
  const { subscriptions, head } = got.find(({ type }) => type === 'subscribed').data;
  assert.ok(subscriptions.includes(`user:${wallet.address}`));
  for (let i = 0; i < 4; i++) {
    await zmart.post(`/api/discussions/${id}`, { content: `word ${i}` });
    if (i % 2 === 0) road.cut();
  }
  const posts = () => got.filter(({ type }) => type === 'discussion').map(({ data }) => data.content);
  await until(() => posts().length >= 4);
  assert.deepEqual(posts(), ['word 0', 'word 1', 'word 2', 'word 3']);
  const wanted = await offsetsAfter(zmart, head);
  assert.deepEqual(got.filter(({ offset }) => offset > head).map(({ offset }) => offset), wanted);
  assert.equal(feed.offset, wanted.at(-1));
  feed.subscribe([`market:${id}`]);
  await until(() => got.some(({ type, data }) => type === 'market_state' && data.action === 'snapshot'));
  feed.close();
  assert.equal(feed.state, 'closed');
  road.close();
});

test('an offset that the feed has not reached is answered by one reset', LIMIT, async () => {
  const zmart = new Zmart(url);
  const resets = [];
  const feed = zmart.connect({ channels: ['public'], from: 2 ** 40, onMessage: () => {}, onReset: (head, reason) => resets.push([head, reason]) });
  await until(() => resets.length);
  assert.equal(resets[0][1], 'unknown_offset');
  assert.equal(feed.offset, resets[0][0]);
  feed.close();
});

test('a session that has ended costs the private channels, not the feed', LIMIT, async () => {
  const { zmart, wallet } = await signedIn(0);
  const other = new Zmart(url);
  other.session = zmart.session;
  await other.signOut();
  zmart.wallet = { ...wallet, address: wallet.address, automatic: false, sign: () => assert.fail() };
  const got = [];
  const feed = zmart.connect({ channels: ['public', `user:${wallet.address}`], onMessage: (message) => got.push(message) });
  await until(() => got.some(({ type }) => type === 'subscribed'));
  assert.deepEqual(got.find(({ type }) => type === 'subscribed').data.subscriptions, ['public']);
  feed.close();
});
