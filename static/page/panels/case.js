import { app } from '../app.js';
import { h, put } from '../dom.js';
import { date } from '../format.js';
import { outcomeBadge } from '../parts/basics.js';
import { walletLink } from '../parts/explorer.js';

/** What is proposed, by whom and on what evidence, what speaks against it, and why a market was cancelled. */

const CHANGES = new Set(['market_state', 'discussion']);
const SHOWN = new Set(['RESOLVING', 'DISPUTED', 'FINALIZED', 'CANCELLED']);

export function casePanel(id, signal) {
  const element = h('section.card.case', { 'aria-label': 'How it is decided', hidden: true });
  let market = null;
  const load = async () => {
    if (!market || !SHOWN.has(market.state)) return void (element.hidden = true);
    const found = await app.zmart.get(`/api/markets/${id}/resolution`, {}, { signal }).catch(() => null);
    if (!found || signal.aborted) return;
    element.hidden = false;
    put(element, h('div.card-body.stack-s', {}, found.state === 'CANCELLED' ? cancelled(found) : decided(found)));
  };
  return {
    element,
    load,
    state: (now) => {
      const moved = market?.state !== now.state;
      market = now;
      if (moved) load();
    },
    receive: (type, data) => CHANGES.has(type) && (type !== 'market_state' || data.new_state) && load(),
  };
}

function decided(found) {
  const final = found.state === 'FINALIZED';
  return [
    h('p', {}, 'Proposed outcome ', outcomeBadge(found.proposed_outcome_name ?? '–'), ' by ', walletLink(found.resolver_wallet), h('span.muted', {}, ` on ${date(found.resolution_proposed_at)}`)),
    quoted('Evidence', found.evidence, found.ipfs_evidence_hash ? `Its text is not kept here. Content id ${found.ipfs_evidence_hash}` : 'None was given.'),
    found.dispute_initiator ? [
      h('p', {}, h('strong', {}, 'Disputed'), ' by ', walletLink(found.dispute_initiator), h('span.muted', {}, ` on ${date(found.dispute_initiated_at)}`)),
      quoted('Why', found.dispute_reason, 'No reason was given.')] : null,
    final ? h('p', {}, 'Final outcome ', outcomeBadge(found.final_outcome_name), found.was_disputed ? h('span.muted', {}, found.final_outcome_name === found.proposed_outcome_name ? ' The dispute failed.' : ' The dispute succeeded.') : null) : null,
  ];
}

const quoted = (title, text, otherwise) => (text
  ? h('figure.quoted', {}, h('figcaption.small.muted', {}, title), h('blockquote', {}, text))
  : h('p.small.muted.wraps', {}, `${title}: ${otherwise}`));

const cancelled = (found) => [
  h('p', {}, h('strong', {}, 'Cancelled'), h('span.muted', {}, ` on ${date(found.cancelled_at)} by the protocol’s administrator.`)),
  quoted('Why', found.cancel_reason, 'no reason was given on this node.'),
];
