/** Forms of bytes and texts, without a node. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Backoff, BurnerWallet, base58Decode, base58Encode, base64Decode, base64Encode, signTransaction } from '../../static/zmart.js';
import { parseBlock } from '../../static/zmart/sse.js';

test('base58 keeps leading zeros, and the empty text', () => {
  const cases = [[[], ''], [[0], '1'], [[0, 0, 1], '112'], [[255], '5Q'], [[1, 0, 0], 'LUw']];
  for (const [bytes, text] of cases) {
    assert.equal(base58Encode(Uint8Array.from(bytes)), text);
    assert.deepEqual([...base58Decode(text)], bytes);
  }
});

test('base58 and base64 give back what they got', () => {
  for (let length = 0; length < 80; length++) {
    const bytes = crypto.getRandomValues(new Uint8Array(length));
    assert.deepEqual(base58Decode(base58Encode(bytes)), bytes);
    assert.deepEqual(base64Decode(base64Encode(bytes)), bytes);
  }
});

test('what is not base58 is refused', () => {
  for (const text of ['0', 'O', 'l', 'a b', 'ä']) assert.throws(() => base58Decode(text), TypeError);
});

test('a wallet is the same after export and import', async () => {
  const wallet = await BurnerWallet.generate();
  const again = await BurnerWallet.fromSecret(wallet.secret);
  assert.equal(again.address, wallet.address);
  const message = new TextEncoder().encode('text');
  assert.deepEqual(await again.sign(message), await wallet.sign(message));
  const bytes = JSON.stringify([...base58Decode(wallet.secret)]);
  assert.equal((await BurnerWallet.fromSecret(bytes)).address, wallet.address);
});

test('halves that do not fit, and other lengths, are refused', async () => {
  const [one, other] = [await BurnerWallet.generate(), await BurnerWallet.generate()];
  const mixed = [...base58Decode(one.secret).slice(0, 32), ...other.publicKey];
  await assert.rejects(BurnerWallet.fromSecret(base58Encode(Uint8Array.from(mixed))), TypeError);
  await assert.rejects(BurnerWallet.fromSecret(base58Encode(one.publicKey)), TypeError);
  await assert.rejects(BurnerWallet.fromSeed(new Uint8Array(31)), TypeError);
});

/** A legacy transaction of two signers whose second one is `wallet`. */
function unsigned(wallet, { version = 2 } = {}) {
  const message = [version, 0, 1, 3, ...new Array(32).fill(7), ...wallet.publicKey, ...new Array(32).fill(9), ...new Array(32).fill(1), 0];
  return Uint8Array.from([2, ...new Array(128).fill(0), ...message]);
}

test('a signature goes into its own place, over the message alone', async () => {
  const wallet = await BurnerWallet.generate();
  const bytes = unsigned(wallet);
  const signed = base64Decode(await signTransaction(base64Encode(bytes), wallet));
  assert.deepEqual(signed.slice(0, 65), bytes.slice(0, 65));
  assert.deepEqual(signed.slice(65, 129), await wallet.sign(bytes.slice(129)));
  assert.deepEqual(signed.slice(129), bytes.slice(129));
});

test('strangers sign nothing; versioned and cut-off transactions are refused', async () => {
  const [wallet, stranger] = [await BurnerWallet.generate(), await BurnerWallet.generate()];
  const bytes = unsigned(wallet);
  await assert.rejects(signTransaction(base64Encode(bytes), stranger), /no signer/);
  await assert.rejects(signTransaction(base64Encode(unsigned(wallet, { version: 0x80 })), wallet), /legacy/);
  for (const length of [0, 1, 129, 131, 160]) await assert.rejects(signTransaction(base64Encode(bytes.slice(0, length)), wallet), TypeError);
});

test('a wallet that signs transactions whole is asked to', async () => {
  const wallet = await BurnerWallet.generate();
  const signer = { address: wallet.address, sign: () => assert.fail(), signTransaction: async (bytes) => bytes.fill(5, 65, 129) };
  const signed = base64Decode(await signTransaction(base64Encode(unsigned(wallet)), signer));
  assert.deepEqual([...signed.slice(65, 129)], new Array(64).fill(5));
});

test('pauses grow, are never zero, and have a ceiling', () => {
  const [short, long] = [new Backoff({ random: () => 0 }), new Backoff({ random: () => 1 })];
  const pauses = Array.from({ length: 30 }, () => [short.next(), long.next()]);
  assert.deepEqual(pauses.slice(0, 4).map(([, each]) => each), [250, 500, 1000, 2000]);
  assert.ok(pauses.every(([low, high]) => low >= 50 && high <= 15_000));
  long.reset();
  assert.equal(long.next(), 250);
});

test('blocks of an event stream: ids, several data lines, comments', () => {
  assert.deepEqual(parseBlock('event: trade\nid: 12\ndata: {"type":"trade"}'), { id: 12, name: 'trade', message: { type: 'trade' } });
  assert.deepEqual(parseBlock('data: {"type":\ndata: "vote"}'), { id: null, name: 'message', message: { type: 'vote' } });
  assert.equal(parseBlock(': ping'), null);
  assert.equal(parseBlock('retry: 3000'), null);
});
