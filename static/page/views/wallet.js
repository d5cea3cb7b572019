import { app } from '../app.js';
import { h, put } from '../dom.js';
import { count, fixed, percent, plural, since, sol, units, words } from '../format.js';
import { CHOICES } from '../charts/votes.js';
import { badge, blank, bones, card, cell, copyable, endCell, failed, outcomeBadge, table } from '../parts/basics.js';
import { explorerLink, transaction } from '../parts/explorer.js';
import { marketLink } from '../parts/market.js';
import { connection } from '../wallet/connection.js';

/** A wallet: what it holds and what that pays, what it traded, voted and created, and what it earned. */

const LISTED = 25;

export function mount({ root, params, signal, setTitle }) {
  const { address } = params;
  setTitle('Wallet');
  const title = h('h1');
  const note = h('p.row', {}, copyable(address, address), explorerLink('address', address));
  const figures = h('div.tiles.few', { role: 'group', 'aria-label': 'Result' });
  const bodies = { positions: h('div', {}, bones(4)), trades: h('div', {}, bones(4)), votes: h('div', {}, bones(3)), created: h('div', {}, bones(3)) };
  put(root,
    h('div.view-head', {}, h('div', {}, title, note)),
    figures,
    h('div.split', {},
      h('div.stack', {}, card('Positions', {}, bodies.positions), card('Trades', {}, bodies.trades)),
      h('div.stack', {}, card('Created markets', {}, bodies.created), card('Votes', {}, bodies.votes))));
  connection.watch(signal, () => put(title, connection.current?.address === address ? 'Your wallet' : 'Wallet'));
  const client = app.zmart;
  const ask = (path, query = {}) => client.get(path, query, { signal });
  const fill = async (body, question, draw) => {
    try {
      put(body, draw(await question()));
    } catch (error) {
      if (!signal.aborted) put(body, error.status === 404 ? blank('No such wallet.', 'An address has 32 to 44 letters and digits.') : failed(error, () => fill(body, question, draw)));
    }
  };
  const user = `/api/users/${encodeURIComponent(address)}`;
  const load = () => Promise.all([
    fill(figures, () => Promise.all([ask(`${user}/stats`), ask(`${user}/balance`).catch(() => null)]), tiles),
    fill(bodies.positions, () => ask(`${user}/positions`, { limit: LISTED }), positions),
    fill(bodies.trades, () => ask(`${user}/trades`, { limit: LISTED }), trades),
    fill(bodies.votes, () => ask(`${user}/votes`, { limit: LISTED }), votes),
    fill(bodies.created, () => ask('/api/markets', { creator: address, limit: LISTED }), created),
  ]);
  load();
  app.live.listen({ onMessage: ({ data }) => [data?.trader, data?.user_wallet, data?.user].includes(address) && load(), onReset: load }, signal);
}

function tiles([stats, balance]) {
  const profit = BigInt(stats.realized_pnl) + BigInt(stats.unrealized_pnl);
  const kind = profit > 0n ? 'yes' : profit < 0n ? 'no' : '';
  const tile = (name, value, under, style = '') => h('div.tile', {}, h('h2.tile-name', {}, name), h('p.figure', { class: style }, value), h('p.under', {}, under));
  return [
    tile('Balance', balance ? sol(balance.lamports, 3) : '–', 'on the network'),
    tile('Result', `${profit > 0n ? '+' : ''}${sol(profit.toString(), 3)}`, `${sol(stats.realized_pnl, 3)} settled, the rest at market price`, kind),
    tile('Traded', `${stats.totalVolume.toLocaleString('en', { maximumFractionDigits: 2 })} SOL`, plural(stats.totalTrades, 'trade')),
    tile('Won', stats.resolvedMarkets ? percent(stats.winRate, 0) : '–', `${count(stats.wonMarkets)} of ${plural(stats.resolvedMarkets, 'final market')}`),
  ];
}

function positions(list) {
  if (!list.length) return blank('No positions.', 'What this wallet buys appears here.');
  return table('Positions', ['Market', ['YES', 'end'], ['NO', 'end'], ['Pays if YES', 'end'], ['Pays if NO', 'end'], ['Result', 'end']], list.map((each) => h('tr', {},
    cell(h('a.wraps', { href: `#/markets/${each.market_id}` }, each.question), h('p.small.muted', {}, words(each.state_name), each.has_claimed ? `, claimed ${sol(each.claimed_amount, 3)}` : BigInt(each.claimable) > 0n ? `, ${sol(each.claimable, 3)} to claim` : '')),
    endCell(fixed(each.shares_yes, 2)), endCell(fixed(each.shares_no, 2)),
    endCell(fixed(each.payout_if_yes, 3)), endCell(fixed(each.payout_if_no, 3)),
    endCell(h('span', { class: each.profit_loss.startsWith('-') ? 'no' : each.profit_loss === '0' ? 'muted' : 'yes' }, fixed(each.profit_loss, 3))))), 'cards');
}

function trades({ trades: list }) {
  if (!list.length) return blank('No trades yet.');
  return table('Trades', ['Market', 'Trade', ['Shares', 'end'], ['SOL', 'end'], ['Transaction', 'spare'], ['When', 'end']], list.map((each) => h('tr', {},
    cell(marketLink(each.market_id)),
    cell(h('span.row.nowrap', {}, each.trade_type === 'buy' ? 'Buy' : 'Sell', outcomeBadge(each.outcome))),
    endCell(fixed(each.shares, 2)), endCell(fixed(each.cost, 4)),
    cell(transaction(each.signature)),
    endCell(h('span.nowrap', { title: each.block_time }, since(each.block_time, app.chainNowMs()))))), 'cards');
}

function votes({ proposal_votes: proposal, dispute_votes: dispute }) {
  const list = [...proposal, ...dispute].sort((a, b) => b.created_at.localeCompare(a.created_at));
  if (!list.length) return blank('No votes yet.');
  return h('ul.lines', {}, list.map((each) => h('li', {},
    marketLink(each.market_id),
    h('span.line-under', {}, badge(CHOICES[each.choice], each.choice === 'like' || each.choice === 'disagree' ? 'yes' : 'no'),
      each.vote_type === 'dispute' ? `weight ${units(each.weight, 2)}` : null, h('span', {}, since(each.created_at, app.chainNowMs()))))));
}

function created({ markets: list }) {
  if (!list.length) return blank('None.', 'Markets that this wallet creates appear here.');
  app.know(list);
  return h('ul.lines', {}, list.map((each) => h('li', {}, marketLink(each.market_id), h('span.line-under', {}, words(each.state), h('span', {}, `${sol(each.total_volume, 2)} traded`)))));
}
