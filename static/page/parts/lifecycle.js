import { h } from '../dom.js';
import { date, duration, words } from '../format.js';

/** The states a market goes through, with the one it is in, when it entered each, and the time left. */

const PATH = ['PROPOSED', 'APPROVED', 'ACTIVE', 'RESOLVING', 'FINALIZED'];
const DISPUTED_PATH = ['PROPOSED', 'APPROVED', 'ACTIVE', 'RESOLVING', 'DISPUTED', 'FINALIZED'];
const PROPOSAL_REVIEW_MS = 86_400_000;

const ENTERED = {
  PROPOSED: 'created_at',
  APPROVED: 'approved_at',
  ACTIVE: 'activated_at',
  RESOLVING: 'resolution_proposed_at',
  DISPUTED: 'dispute_initiated_at',
  FINALIZED: 'finalized_at',
  CANCELLED: 'cancelled_at',
};

const HINTS = {
  PROPOSED: 'wallets vote',
  APPROVED: 'creator activates',
  ACTIVE: 'trading',
  RESOLVING: 'dispute window',
  DISPUTED: 'holders vote',
  FINALIZED: 'winners claim',
  CANCELLED: 'the end',
};

function pathOf(market) {
  if (market.state === 'CANCELLED') return [...PATH.slice(0, market.approved_at ? 2 : 1), 'CANCELLED'];
  return market.was_disputed || market.state === 'DISPUTED' ? DISPUTED_PATH : PATH;
}

export function lifecycle(market) {
  const path = pathOf(market);
  const current = path.indexOf(market.state);
  return h('ol.life', { 'aria-label': 'Lifecycle of the market' }, path.map((state, i) =>
    h('li', { class: i < current ? 'done' : i === current ? `now state-${state.toLowerCase()}` : 'later', 'aria-current': i === current ? 'step' : null },
      h('span.life-mark', { 'aria-hidden': 'true' }),
      h('span.life-name', {}, words(state)),
      h('span.life-when', {}, i <= current && market[ENTERED[state]] ? date(market[ENTERED[state]]) : HINTS[state]))));
}

/** What time brings next to a market: [until then, deadline in unix ms, from then on], or null if nothing waits for time. */
export function deadlineOf(market) {
  const at = (iso) => (iso ? Date.parse(iso) : null);
  switch (market.state) {
    case 'PROPOSED':
      return ['until it goes to manual review', at(market.created_at) + PROPOSAL_REVIEW_MS, 'Its day is over: people review it'];
    case 'ACTIVE':
      return at(market.end_date) === null ? null : ['until its end date', at(market.end_date), 'Its end date has passed: it can be resolved'];
    case 'RESOLVING':
      return at(market.dispute_deadline) === null ? null : ['to dispute the outcome', at(market.dispute_deadline), 'Too late to dispute: it can be finalized'];
    case 'DISPUTED':
      return at(market.dispute_settle_at) === null ? null : ['to vote on the dispute', at(market.dispute_settle_at), 'The dispute vote is over: it can be settled'];
    default:
      return null;
  }
}

/** '3 d 4 h until its end date', by the chain's clock. */
export function timeLeft(market, chainNowMs) {
  const found = deadlineOf(market);
  if (!found) return '';
  const [what, at, over] = found;
  return at > chainNowMs ? `${duration((at - chainNowMs) / 1000)} ${what}` : over;
}
