import { h } from '../dom.js';
import { address, bps, count, percent, sol, time, units, words } from '../format.js';
import { badge, cell, copyable, outcomeBadge } from './basics.js';

/** One message of the feed in a table: a sentence, and behind it the raw data and the signature. */

const KINDS = { trade: 'accent', vote: 'warn', voting_progress: 'warn', claims_enabled: 'ok' };

/** @param {boolean} [fresh] whether it has just come */
export function feedRow(message, fresh = false) {
  const { data } = message;
  const id = message.market_id ?? data.market_id;
  return h('tr.feed-line', { class: fresh ? 'fresh' : '', 'data-offset': message.offset },
    cell(h('span.muted.nowrap', {}, time(message.timestamp))),
    cell(badge(words(message.type), KINDS[message.type] ?? '')),
    cell(h('details', {},
      h('summary', {}, (SENTENCES[message.type] ?? (() => words(message.type)))(data)),
      h('pre.raw', { tabindex: '0' }, JSON.stringify(message, null, 2)),
      h('p.row.small', {},
        id ? h('a', { href: `#/markets/${id}` }, 'Open the market') : null,
        data.tx_signature ? [h('span.muted', {}, 'Signature'), copyable(data.tx_signature)] : null))),
    h('td.end.muted', {}, count(message.offset)));
}

const who = (wallet) => h('span.mono', {}, address(wallet));

const SENTENCES = {
  trade: (data) => [who(data.trader), ` ${data.trade_type === 'buy' ? 'buys' : 'sells'} ${units(data.shares, 2)} `, outcomeBadge(data.outcome), ` for ${sol(data.cost, 4)}`],
  vote: (data) => [who(data.user_wallet), ` votes ${data.choice}: ${data.likes} to ${data.dislikes}`],
  voting_progress: (data) => `${words(data.vote_type)}: ${bps(data.percentage_bps)} of ${count(data.total)} ${data.total === 1 ? 'vote' : 'votes'}${data.aggregated ? ', recorded on chain' : ''}`,
  discussion: (data) => [who(data.author), data.action === 'deleted' ? ' took back a post' : `: ${data.content}`],
  claims_enabled: (data) => ['Claims are open: ', outcomeBadge(data.outcome)],
  market_state: marketState,
};

function marketState(data) {
  const name = data.market?.title ?? `market ${data.market_id.slice(0, 8)}`;
  if (!data.market && !data.new_state) return [h('span.muted', {}, name), ` now at ${percent(data.priceYes)} YES`];
  const change = data.new_state ? [data.old_state, data.new_state].filter(Boolean).map(words).join(' → ') : words(data.action);
  return [`${change}: ${name}`, data.automatic ? h('span.muted', {}, ' by the node') : null];
}
