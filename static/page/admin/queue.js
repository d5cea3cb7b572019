import { app } from '../app.js';
import { askReason, show } from '../dialog.js';
import { h } from '../dom.js';
import { count, since, words } from '../format.js';
import { toast } from '../notify.js';
import { badge, cell, endCell, worker } from '../parts/basics.js';
import { marketLink } from '../parts/market.js';
import { raw } from '../parts/raw.js';
import { transaction } from '../parts/explorer.js';
import { freshList } from './lists.js';

/** The node's own transactions, what could not be indexed, and where chain and database differed. */

const KINDS = { confirmed: 'ok', failed: 'bad', expired: 'warn', abandoned: '', planned: 'accent', sent: 'accent' };

export const queue = (signal) => [
  freshList({
    title: 'The node’s transactions', path: '/api/admin/intents', query: { limit: 50 }, rows: ({ intents }) => intents, empty: 'The node has sent nothing yet.',
    heads: ['Action', ['Market', 'whole'], 'State', ['Attempts', 'end'], 'Signature', 'Planned', ''],
    row: intentRow,
  }, signal).element,
  freshList({
    title: 'Dead letters', note: 'what arrived and could not be read', path: '/api/admin/dead-letters', rows: (answer) => answer.dead_letters, empty: 'Everything that arrived could be read.',
    heads: ['Kind', 'Error', 'Signature', ['Attempts', 'end'], 'First seen', ''],
    row: deadLetterRow,
  }, signal).element,
  freshList({
    title: 'Discrepancies', note: 'where database and chain differed', path: '/api/admin/discrepancies', rows: ({ discrepancies }) => discrepancies, empty: 'Database and chain agree.',
    heads: ['Market', 'Field', 'Stored', 'On chain', 'Found', 'Resolved'],
    row: (each) => h('tr', {}, cell(each.market_id ? marketLink(each.market_id) : 'the protocol'), cell(words(each.field)), cell(each.stored ?? '–'), cell(each.on_chain ?? '–'), cell(since(each.detected_at)), cell(each.resolved_at ? since(each.resolved_at) : badge('open', 'warn'))),
  }, signal).element,
];

function intentRow(intent, refresh) {
  const settle = (what, title) => worker(title, async () => {
    const reason = await askReason(`${title} this transaction?`, title);
    if (!reason) return;
    await app.admin.post(`/api/admin/intents/${intent.id}/${what}`, { reason });
    toast(`${title}: done`, 'ok');
    await refresh();
  }, { kind: 'slim', 'data-key': `${what}-${intent.id}`, 'data-do': what });
  const again = intent.status === 'failed' || intent.status === 'expired';
  return h('tr', { 'data-intent': intent.id, 'data-action': intent.action, 'data-status': intent.status },
    cell(h('strong', {}, words(intent.action)), intent.error ? h('p.bad', {}, `${intent.error.name}: ${intent.error.message}`) : null),
    cell(intent.market_id ? marketLink(intent.market_id) : 'the protocol'),
    cell(badge(intent.status, KINDS[intent.status])),
    endCell(count(intent.attempts)),
    cell(intent.signature ? transaction(intent.signature) : '–'),
    cell(since(intent.created_at)),
    endCell(h('span.row.tight', {}, again ? settle('retry', 'Retry') : null, again ? settle('abandon', 'Abandon') : null)));
}

function deadLetterRow(letter, refresh) {
  return h('tr', {},
    cell(words(letter.kind)),
    cell(letter.error),
    cell(letter.signature ? transaction(letter.signature) : '–'),
    endCell(count(letter.attempts)),
    cell(since(letter.first_seen_at)),
    endCell(h('span.row.tight', {}, worker('Look', async () => {
      const { payload } = await app.admin.get(`/api/admin/dead-letters/${letter.id}`);
      await show('What arrived', payload === null ? h('p.muted', {}, 'Nothing of it was kept.') : raw(payload), { kind: 'wide' });
    }, { kind: 'slim', 'data-key': `look-${letter.id}`, 'data-do': 'look' }), worker('Retry', async () => {
      const { resolved } = await app.admin.post(`/api/admin/dead-letters/${letter.id}/retry`);
      toast(resolved ? 'It could be read now' : 'It still cannot be read', resolved ? 'ok' : 'bad');
      await refresh();
    }, { kind: 'slim', 'data-key': `letter-${letter.id}`, 'data-do': 'retry-letter' }))));
}
