import { app } from '../app.js';
import { h, put } from '../dom.js';
import { address, bps, count, percent, sol, time, units, words } from '../format.js';
import { announce } from '../notify.js';
import { badge, blank, bones, card, cell, choice, copyable, failed, outcomeBadge, table, worker } from '../parts/basics.js';
import { eventRow, EVENT_HEADS } from '../parts/eventrow.js';
import { setQuery } from '../router.js';

/** Two logs: the live feed of everything the node says, and the program's events as the chain holds them. */

const SHOWN_MAX = 200;
const FIRST = 50;
const PAGE = 50;
const TYPES = ['market_state', 'trade', 'vote', 'voting_progress', 'discussion', 'claims_enabled'];
const EVENT_TYPES = [
  'GlobalConfigInitialized', 'ConfigUpdated', 'ProtocolPauseStatusChanged', 'MarketCreated', 'ProposalVoteSubmitted', 'ProposalAggregated',
  'ProposalApproved', 'MarketActivated', 'SharesBought', 'SharesSold', 'MarketResolved', 'DisputeInitiated', 'DisputeVoteSubmitted',
  'DisputeAggregated', 'MarketFinalized', 'WinningsClaimed', 'LiquidityWithdrawn', 'MarketCancelled',
];
const KINDS = { trade: 'accent', market_state: '', vote: 'warn', voting_progress: 'warn', claims_enabled: 'ok', discussion: '' };

export function mount({ root, query, signal }) {
  const body = h('div');
  const first = query.get('tab') === 'chain' || query.get('q') ? 'chain' : 'live';
  const open = (tab) => {
    if (tab === 'live') put(body, liveFeed(signal));
    else put(body, chainLog(query, signal));
  };
  put(root,
    h('div.view-head', {}, h('div', {}, h('h1', {}, 'Events'), h('p', {}, 'Everything that happens, as it happens, with its raw data.')),
      choice('Log', [['live', 'Live feed'], ['chain', 'On chain']], first, (tab) => {
        setQuery({ tab: tab === 'live' ? '' : tab });
        open(tab);
      })),
    body);
  open(first);
}

// The live feed

function liveFeed(signal) {
  const shown = new Set(TYPES);
  let messages = [];
  let waiting = [];
  let paused = false;
  const list = h('tbody');
  const holder = h('div', {}, bones(6));
  const pauseButton = h('button.button.slim', { type: 'button', 'aria-pressed': 'false', onclick: () => pause(!paused) }, 'Pause');

  const visible = () => messages.filter(({ type }) => shown.has(type));
  const draw = () => {
    const rows = visible();
    if (!rows.length) return put(holder, blank('Nothing has happened yet.', 'Messages appear here as soon as they come.'));
    put(list, rows.map((message) => feedRow(message)));
    put(holder, h('div.table-wrap', { tabindex: '0', role: 'region', 'aria-label': 'Live feed' }, h('table.feed', {}, h('caption.hidden', {}, 'Live feed, newest first'),
      h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Time'), h('th', { scope: 'col' }, 'Type'), h('th', { scope: 'col' }, 'What'), h('th.end', { scope: 'col' }, 'Offset'))), list)));
  };
  const add = (message) => {
    if (!TYPES.includes(message.type) || message.offset === undefined || messages.some(({ offset }) => offset === message.offset)) return;
    if (paused) {
      waiting.push(message);
      waiting.splice(0, waiting.length - SHOWN_MAX);
      put(pauseButton, `Go on (${waiting.length} new)`);
      return;
    }
    const wasEmpty = !visible().length;
    messages = [message, ...messages].slice(0, SHOWN_MAX);
    if (wasEmpty) return draw();
    if (!shown.has(message.type)) return;
    list.prepend(feedRow(message, true));
    while (list.children.length > SHOWN_MAX) list.lastElementChild.remove();
  };
  const pause = (wanted) => {
    paused = wanted;
    pauseButton.setAttribute('aria-pressed', String(paused));
    put(pauseButton, paused ? 'Go on' : 'Pause');
    announce(paused ? 'The feed stands still' : 'The feed goes on');
    if (paused) return;
    const late = waiting;
    waiting = [];
    for (const message of late) add(message);
  };
  const load = async () => {
    try {
      const { events } = await app.zmart.get('/api/events/latest', { limit: FIRST }, { signal });
      const known = new Set(events.map(({ offset }) => offset));
      messages = [...messages.filter(({ offset }) => !known.has(offset)), ...events.reverse()].sort((a, b) => b.offset - a.offset);
      draw();
    } catch (error) {
      if (!signal.aborted) put(holder, failed(error, load));
    }
  };
  app.live.listen({ channels: ['votes', 'trades', 'markets'], onMessage: add, onReset: load }, signal);
  load();
  return card('Live feed', { tools: h('div.row', {}, typeFilter(shown, draw), pauseButton) }, holder);
}

function typeFilter(shown, draw) {
  return h('div.choice', { role: 'group', 'aria-label': 'Types shown' }, TYPES.map((type) => h('button', {
    type: 'button',
    'aria-pressed': 'true',
    onclick: (event) => {
      if (!shown.delete(type)) shown.add(type);
      event.currentTarget.setAttribute('aria-pressed', String(shown.has(type)));
      draw();
    },
  }, words(type))));
}

function feedRow(message, fresh = false) {
  const id = message.market_id ?? message.data.market_id;
  return h('tr.feed-line', { class: fresh ? 'fresh' : '', 'data-offset': message.offset },
    cell(h('span.muted.nowrap', {}, time(message.timestamp))),
    cell(badge(words(message.type), KINDS[message.type] ?? '')),
    cell(h('details', {},
      h('summary', {}, summaryOf(message)),
      h('pre.raw', { tabindex: '0' }, JSON.stringify(message, null, 2)),
      h('p.row.small', {},
        id ? h('a', { href: `#/markets/${id}` }, 'Open the market') : null,
        message.data.tx_signature ? [h('span.muted', {}, 'Signature'), copyable(message.data.tx_signature)] : null))),
    h('td.end.muted', {}, count(message.offset)));
}

function summaryOf({ type, data }) {
  switch (type) {
    case 'trade':
      return [h('span.mono', {}, address(data.trader)), ` ${data.trade_type === 'buy' ? 'buys' : 'sells'} ${units(data.shares, 2)} `, outcomeBadge(data.outcome), ` for ${sol(data.cost, 4)}`];
    case 'vote':
      return [h('span.mono', {}, address(data.user_wallet)), ` votes ${data.choice}: ${data.likes} to ${data.dislikes}`];
    case 'voting_progress':
      return `${words(data.vote_type)}: ${bps(data.percentage_bps)} of ${count(data.total)} votes${data.aggregated ? ', recorded on chain' : ''}`;
    case 'market_state':
      return marketState(data);
    case 'discussion':
      return [h('span.mono', {}, address(data.author)), data.action === 'deleted' ? ' took back a post' : `: ${data.content}`];
    case 'claims_enabled':
      return [`Claims are open: `, outcomeBadge(data.outcome)];
    default:
      return words(type);
  }
}

function marketState(data) {
  const name = data.market?.title ?? `market ${data.market_id.slice(0, 8)}`;
  if (!data.market && !data.new_state) return [h('span.muted', {}, name), ` now at ${percent(data.priceYes)} YES`];
  const change = data.new_state ? [data.old_state, data.new_state].filter(Boolean).map(words).join(' → ') : words(data.action);
  return [`${change}: ${name}`, data.automatic ? h('span.muted', {}, ' by the node') : null];
}

// The chain's log

function chainLog(query, signal) {
  const filter = { q: query.get('q') ?? '', event_type: query.get('event_type') ?? '' };
  const list = h('div', {}, bones(6));
  const foot = h('div');
  let timer;
  const ask = (cursor) => {
    const { q, event_type } = filter;
    return q.length >= 3
      ? app.zmart.get('/api/events/search', { q, limit: PAGE, cursor }, { signal })
      : app.zmart.get('/api/events', { event_type, limit: PAGE, cursor }, { signal });
  };
  const append = (rows, page) => {
    rows.append(...page.events.filter((event) => !filter.event_type || event.event_type === filter.event_type).map((event) => eventRow(event)));
    put(foot, page.has_more ? h('div.card-foot', {}, worker('Show older ones', async () => append(rows, await ask(page.next_cursor)))) : null);
  };
  const load = async () => {
    try {
      const page = await ask(null);
      if (!page.events.length) return put(list, blank('No events fit.', 'Search by signature, wallet, market id or question.')), put(foot);
      const shell = table('Events on chain', EVENT_HEADS, []);
      append(shell.querySelector('tbody'), page);
      put(list, shell);
    } catch (error) {
      if (!signal.aborted) put(list, failed(error, load));
    }
  };
  const change = (part) => {
    Object.assign(filter, part);
    setQuery({ tab: 'chain', ...filter });
    load();
  };
  const typed = (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => change({ q: event.target.value.trim() }), 250);
  };
  load();
  return h('div.stack', {},
    h('form.filters', { role: 'search', onsubmit: (event) => event.preventDefault() },
      h('label', {}, h('span.hidden', {}, 'Search events'), h('input.input', { type: 'search', value: filter.q, placeholder: 'Signature, wallet, market or question', maxlength: 100, oninput: typed })),
      h('label', {}, h('span.hidden', {}, 'Type'), h('select.input', { onchange: (event) => change({ event_type: event.target.value }) },
        h('option', { value: '' }, 'All types'), EVENT_TYPES.map((type) => h('option', { value: type, selected: type === filter.event_type }, words(type)))))),
    card('Events on chain', {}, list, foot));
}
