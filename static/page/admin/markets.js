import { app } from '../app.js';
import { ask, askReason } from '../dialog.js';
import { h } from '../dom.js';
import { throttled } from '../follow.js';
import { plural, since } from '../format.js';
import { complain, toast } from '../notify.js';
import { badge, cell, endCell, stateBadge, worker } from '../parts/basics.js';
import { freshList } from './lists.js';

/** Approvals, and what an administrator may do to a market: never its state, shares or outcome. */

const LISTED = 100;
const QUESTION_MIN = 3;
const TYPING_MS = 250;
const REFRESH_PAUSE_MS = 500;
const CANCELLABLE = new Set(['PROPOSED', 'APPROVED']);

export const markets = (signal) => [
  freshList({
    title: 'Waiting for approval', path: '/api/admin/approvals', rows: (answer) => answer.markets, empty: 'No market waits for the admin’s signature.',
    heads: ['Market', 'Counts on chain', 'Created', ''],
    row: approvalRow,
  }, signal).element,
  allMarkets(signal),
];

/** The newest markets, hidden ones too, or those whose question fits. */
function allMarkets(signal) {
  const query = { include_hidden: true, limit: LISTED, q: null };
  let timer;
  const search = h('input.input.slim', { type: 'search', name: 'admin-q', placeholder: 'Search questions', 'aria-label': 'Search questions', maxlength: 100, oninput: (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const text = event.target.value.trim();
      query.q = text.length >= QUESTION_MIN ? text : null;
      list.refresh().catch(complain);
    }, TYPING_MS);
  } });
  const list = freshList({
    title: 'Markets', path: '/api/markets', query, rows: (answer) => answer.markets, empty: 'No market fits.',
    heads: ['Market', 'State', 'Note', ''],
    row: marketRow, tools: search,
  }, signal);
  const refresh = throttled(list.refresh, REFRESH_PAUSE_MS);
  app.live.listen({ onMessage: ({ type }) => type === 'market_state' && !signal.aborted && refresh() }, signal);
  return list.element;
}

function approvalRow(market, refresh) {
  return h('tr', {},
    cell(h('a', { href: `#/markets/${market.id}` }, market.title)),
    cell(`${market.proposal_likes} to ${market.proposal_dislikes}`),
    cell(since(market.created_at, app.chainNowMs())),
    endCell(worker('Approve', async () => {
      const reason = await askReason('Approve this market?', 'Approve', market.title);
      if (!reason) return;
      await app.admin.act(`/api/admin/markets/${market.id}/approve`, { reason });
      toast('Approval is under way', 'ok');
      await refresh();
    }, { kind: 'slim primary', 'data-key': `approve-${market.id}`, 'data-do': 'approve' })));
}

function marketRow(market, refresh) {
  const override = (label, action) => worker(label, () => change(market, label, action, refresh), { kind: 'slim', 'data-key': `${action}-${market.id}`, 'data-do': action });
  return h('tr', { 'data-market': market.id },
    cell(h('a', { href: `#/markets/${market.id}` }, market.title), market.hidden ? [' ', badge('hidden', 'warn')] : null),
    cell(stateBadge(market.state)),
    cell(market.note ?? '–'),
    endCell(h('span.row.tight', {},
      CANCELLABLE.has(market.state) ? override('Cancel', 'cancel') : null,
      market.hidden ? override('Show', 'unhide') : override('Hide', 'hide'),
      worker('Note', () => annotate(market, refresh), { kind: 'slim', 'data-key': `note-${market.id}`, 'data-do': 'note' }),
      override('Resync', 'resync'))));
}

/** What came of it. The node only sends what cancels a market; the chain's word arrives by push. */
function told(action, differences) {
  if (action === 'cancel') return 'Cancelling is under way';
  if (action === 'hide') return 'It is in no list now';
  if (action === 'unhide') return 'It is in the lists again';
  return differences ? `${plural(differences, 'difference')} corrected` : 'Nothing differed';
}

async function change(market, label, action, refresh) {
  const reason = await askReason(`${label} this market?`, label, market.title);
  if (!reason) return;
  const { built } = await app.admin.act(`/api/admin/markets/${market.id}/override`, { action, reason });
  toast(told(action, built.discrepancies?.length), 'ok');
  await refresh();
}

async function annotate(market, refresh) {
  const note = await ask({ title: 'Note on this market', text: market.title, label: 'Note; everybody sees it, none takes it away', action: 'Save', least: 0, value: market.note ?? '' });
  if (note === null) return;
  await app.admin.post(`/api/admin/markets/${market.id}/override`, { action: 'annotate', note, reason: 'Note changed on the page.' });
  toast('Saved', 'ok');
  await refresh();
}
