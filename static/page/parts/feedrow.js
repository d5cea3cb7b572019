import { app } from '../app.js';
import { h } from '../dom.js';
import { address, bps, count, percent, plural, sol, time, units, words } from '../format.js';
import { badge, cell, outcomeBadge } from './basics.js';
import { raw, unfolding } from './raw.js';
import { CHOICES } from '../charts/votes.js';
import { transaction, walletLink } from './explorer.js';

/** One message of the feed in a table: a sentence, and behind it the raw data and the signature. */

const KINDS = { trade: 'accent', vote: 'warn', voting_progress: 'warn', claims_enabled: 'ok' };

export const FEED_HEADS = ['Time', 'Type', 'What', ['Offset', 'end']];

/** @param {boolean} [fresh] whether it has just come */
export function feedRow(message, fresh = false) {
  const { data } = message;
  const id = message.market_id ?? data.market_id;
  const content = () => [
    raw(message),
    h('p.row.small', {},
      id ? h('a', { href: `#/markets/${id}` }, 'Open the market') : null,
      actor(data) ? [h('span.muted', {}, 'Wallet'), walletLink(actor(data))] : null,
      data.tx_signature ? [h('span.muted', {}, 'Signature'), transaction(data.tx_signature)] : null)];
  return h('tr.feed-line', { class: fresh ? 'fresh' : '', 'data-offset': message.offset },
    cell(h('span.muted.nowrap', {}, time(message.timestamp))),
    cell(badge(words(message.type), KINDS[message.type] ?? '')),
    cell(unfolding([(SENTENCES[message.type] ?? (() => words(message.type)))(data), about(message.type, id)], content)),
    h('td.end.muted', {}, count(message.offset)));
}

/** Who did it, where somebody did. */
const actor = (data) => data.trader ?? data.author ?? (data.choice ? data.user_wallet : null);

/** The market, where the sentence itself does not name it. */
const about = (type, id) => (id && type !== 'market_state' ? h('span.muted', {}, ` · ${app.nameOf(id)}`) : null);

const who = (wallet) => h('span.mono', {}, address(wallet));

const SENTENCES = {
  trade: (data) => [who(data.trader), ` ${data.trade_type === 'buy' ? 'buys' : 'sells'} ${units(data.shares, 2)} `, outcomeBadge(data.outcome), ` for ${sol(data.cost, 4)}`],
  vote: (data) => [who(data.user_wallet), ` votes: ${CHOICES[data.choice] ?? data.choice}, ${data.likes} to ${data.dislikes}`],
  voting_progress: (data) => `${words(data.vote_type)}: ${bps(data.percentage_bps)} ${data.vote_type === 'dispute' ? 'hold the outcome wrong' : 'approve'}, ${plural(data.total, 'vote')}${data.aggregated ? ', recorded on chain' : ''}`,
  discussion: (data) => [who(data.author), data.action === 'deleted' ? ' took back a post' : `: ${data.content}`],
  claims_enabled: (data) => ['Claims are open: ', outcomeBadge(data.outcome)],
  market_state: marketState,
};

function marketState(data) {
  const name = data.market?.title ?? app.nameOf(data.market_id);
  if (!data.market && !data.new_state) return [h('span.muted', {}, name), ` now at ${percent(data.priceYes)} YES`];
  const change = data.new_state ? [data.old_state, data.new_state].filter(Boolean).map(words).join(' → ') : words(data.action);
  return [`${change}: ${name}`, data.automatic ? h('span.muted', {}, ' by the node') : null];
}
