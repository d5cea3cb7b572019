import { app } from '../app.js';
import { h } from '../dom.js';
import { address } from '../format.js';
import { copyable } from './basics.js';

/** Addresses and signatures, with a way on: the page's own view of a wallet, and Solana's explorer where it knows the cluster. */

const QUERIES = { mainnet: '', devnet: '?cluster=devnet', testnet: '?cluster=testnet' };

/**
 * @param {'tx' | 'address'} kind
 * @param {string} text
 */
export function explorerLink(kind, text) {
  const query = QUERIES[app.cluster];
  if (query === undefined) return null;
  return h('a.explorer', { href: `https://explorer.solana.com/${kind}/${text}${query}`, target: '_blank', rel: 'noreferrer', 'aria-label': `${address(text)} in Solana’s explorer` }, '↗');
}

/** A wallet: leads to what it holds and did. */
export function walletLink(wallet, shown = address(wallet)) {
  if (!wallet) return h('span.muted', {}, '–');
  return h('a.mono.who', { href: `#/wallets/${wallet}`, title: wallet }, shown);
}

/** An account that is no wallet: copied by a click. */
export const account = (text) => h('span.row.nowrap', {}, copyable(text), explorerLink('address', text));

/** A transaction by its signature. */
export function transaction(signature) {
  if (!signature) return h('span.muted', {}, '–');
  return h('span.row.nowrap', {}, copyable(signature, address(signature), 'Signature copied'), explorerLink('tx', signature));
}
