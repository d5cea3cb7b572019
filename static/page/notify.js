import { ApiError } from '../zmart.js';
import { h, say } from './dom.js';
import { words } from './format.js';

/** Short messages for people; also read out by screen readers. */

const SHOWN_MS = 6_000;
const SHOWN_MAX = 4;

/**
 * @param {string} text
 * @param {'' | 'ok' | 'bad'} kind
 */
export function toast(text, kind = '') {
  const box = /** @type {HTMLElement} */ (document.getElementById('toasts'));
  const element = h('div.toast', { class: kind }, text);
  box.append(element);
  while (box.children.length > SHOWN_MAX) box.firstElementChild?.remove();
  setTimeout(() => element.remove(), SHOWN_MS);
}

/** Says something to screen readers only. */
export function announce(text) {
  say(/** @type {HTMLElement} */ (document.getElementById('announcer')), text);
}

/** The program's and the runtime's errors that people meet, and what they can do then. */
const PROGRAM_ERRORS = {
  AccountNotFound: 'This wallet has no SOL on this network, so it cannot pay. Send it some first.',
  InsufficientFundsForFee: 'This wallet has too little SOL for the network’s fee. Send it some first.',
  InsufficientFundsForRent: 'This would leave an account with less SOL than it has to keep. Try a smaller amount.',
  SystemInsufficientFunds: 'This wallet has too little SOL for it. Try a smaller amount, or send it some first.',
  SystemAccountInUse: 'This wallet has done it already.',
  BlockhashNotFound: 'It took too long to sign, so the transaction is no longer valid. Try again.',
  PrivilegeEscalation: 'The program on this network cannot pay sales out. Shares can be kept until the outcome.',
  SlippageExceeded: 'The price moved while you were deciding. Look at the new quote and try again.',
  InsufficientLiquidity: 'The market cannot pay that much out at this time.',
  InsufficientShares: 'This wallet holds fewer shares than that.',
  InvalidMarketState: 'The market has moved on, and this is no longer possible.',
  ProtocolPaused: 'Trading is paused on this network for now.',
  AlreadyClaimed: 'This wallet has claimed already.',
  NoWinnings: 'There is nothing to claim for this wallet.',
  DisputePeriodEnded: 'The time for disputing is over.',
};

/** Refusals of the node that have a plain cause. */
const REASONS = {
  slippage_exceeded: PROGRAM_ERRORS.SlippageExceeded,
  insufficient_shares: PROGRAM_ERRORS.InsufficientShares,
  selling_unavailable: PROGRAM_ERRORS.PrivilegeEscalation,
  already_voted: 'This wallet has voted here already.',
  no_position: 'Only wallets that hold shares of this market vote on its dispute.',
  blockhash_expired: PROGRAM_ERRORS.BlockhashNotFound,
  rpc_unavailable: 'The network cannot be reached just now. Try again in a moment.',
  breaker_open: 'The network has not answered lately. Try again in a few minutes.',
};

/** One sentence for whatever was thrown. */
export function explain(error) {
  if (error instanceof ApiError) {
    const name = error.programError?.name;
    const plain = REASONS[error.reason] ?? PROGRAM_ERRORS[name];
    if (plain) return plain;
    const fields = error.fields.map(({ field, message }) => `${words(field)} ${message}`).join('; ');
    return fields ? `${fields}.` : error.message;
  }
  return error instanceof Error ? error.message : String(error);
}

/** Shows what was thrown, unless it only says that somebody went on. */
export function complain(error) {
  if (error instanceof DOMException && error.name === 'AbortError') return;
  toast(explain(error), 'bad');
}
