/** How the page writes numbers and times. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { address, baseUnits, bps, duration, fixed, percent, plural, since, size, sol, units, words } from '../../static/page/format.js';

test('amounts stay exact until they are rounded, once', () => {
  const cases = [['0', '0'], ['1', '0'], ['499999', '0'], ['500000', '0.001'], ['1000000000', '1'], ['1999500000', '2'], ['-1500000000', '−1.5'], ['-1', '0'], ['18446744073709551615', '18,446,744,073.71']];
  for (const [text, shown] of cases) assert.equal(units(text), shown, text);
  assert.equal(units('18446744073709551615', 9), '18,446,744,073.709551615');
  assert.equal(sol('2500000000', 1), '2.5 SOL');
  assert.equal(units(null), '–');
});

test('columns of amounts stand in line', () => {
  const cases = [['4000000000', 4, '4.0000'], ['2999700000', 4, '2.9997'], ['-230000000', 2, '−0.23'], ['0', 2, '0.00'], ['1500000000', 0, '2']];
  for (const [text, digits, shown] of cases) assert.equal(fixed(text, digits), shown, text);
});

test('sizes have the unit that fits', () => {
  const cases = [[0, '0 B'], [1023, '1,023 B'], [1024, '1.0 KiB'], [9797368, '9.3 MiB'], [150 * 1024 ** 2, '150 MiB'], [3 * 1024 ** 4, '3.0 TiB']];
  for (const [bytes, shown] of cases) assert.equal(size(bytes).join(' '), shown);
});

test('what people type becomes base units, or nothing', () => {
  const cases = [['1', '1000000000'], ['0.5', '500000000'], ['0,25', '250000000'], [' 12.000000001 ', '12000000001'], ['0', null], ['-1', null], ['1e3', null], ['1.0000000001', null], ['', null], ['abc', null]];
  for (const [text, value] of cases) assert.equal(baseUnits(text), value, text);
});

test('durations have two parts at most', () => {
  const cases = [[0, '0 s'], [59, '59 s'], [61, '1 min 1 s'], [3600, '1 h'], [93784, '1 d 2 h'], [-5, '0 s']];
  for (const [seconds, text] of cases) assert.equal(duration(seconds), text);
});

test('times are told from now', () => {
  const now = Date.parse('2026-01-02T00:00:00Z');
  assert.equal(since('2026-01-01T23:00:00Z', now), '1 h ago');
  assert.equal(since('2026-01-02T00:00:30Z', now), 'in 30 s');
  assert.equal(since('2026-01-02T00:00:01Z', now), 'now');
  assert.equal(since(null, now), '–');
});

test('shares, addresses, names', () => {
  assert.equal(percent(0.12345), '12.3 %');
  assert.deepEqual([bps(7000), bps(6640), bps(7255), bps(0)], ['70 %', '66.4 %', '72.55 %', '0 %']);
  assert.equal(address('4uyTxMCdTKuhUQ6svNkWwKuELUbxnHDBGa9JcsfFvTef'), '4uyT…vTef');
  assert.deepEqual(['SharesBought', 'market_transitions', 'ACTIVE', 'ipfs', 'solana_rpc'].map(words), ['Shares bought', 'Market transitions', 'Active', 'IPFS', 'Solana RPC']);
});

test('one thing is no plural', () => {
  assert.deepEqual([plural(0, 'vote'), plural(1, 'vote'), plural(1200, 'vote')], ['0 votes', '1 vote', '1,200 votes']);
});
