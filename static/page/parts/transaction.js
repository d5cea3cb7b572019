import { app } from '../app.js';
import { h } from '../dom.js';
import { address } from '../format.js';
import { copyable } from './basics.js';

/** A transaction by its signature: copied by a click, and shown by Solana's explorer where that knows the cluster. */

const QUERIES = { mainnet: '', devnet: '?cluster=devnet', testnet: '?cluster=testnet' };

export function transaction(signature) {
  if (!signature) return h('span.muted', {}, '–');
  const query = QUERIES[app.cluster];
  const copy = copyable(signature, address(signature), 'Signature copied');
  if (query === undefined) return copy;
  return h('span.row.nowrap', {}, copy,
    h('a', { href: `https://explorer.solana.com/tx/${signature}${query}`, target: '_blank', rel: 'noreferrer', 'aria-label': `${address(signature)} in the explorer` }, '↗'));
}
