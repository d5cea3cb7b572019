import { app } from '../app.js';
import { h, put } from '../dom.js';
import { words } from '../format.js';
import { blank, bones, card, failed, labelCells, table, worker } from '../parts/basics.js';
import { eventRow, EVENT_HEADS } from '../parts/eventrow.js';
import { setQuery } from '../router.js';

const PAGE = 50;
const TYPING_MS = 250;
const SEARCH_MIN = 3;
const EVENT_TYPES = [
  'GlobalConfigInitialized', 'ConfigUpdated', 'ProtocolPauseStatusChanged', 'MarketCreated', 'ProposalVoteSubmitted', 'ProposalAggregated',
  'ProposalApproved', 'MarketActivated', 'SharesBought', 'SharesSold', 'MarketResolved', 'DisputeInitiated', 'DisputeVoteSubmitted',
  'DisputeAggregated', 'MarketFinalized', 'WinningsClaimed', 'LiquidityWithdrawn', 'MarketCancelled',
];

/**
 * The program's events, searched and page by page.
 * @param {URLSearchParams} query
 * @param {AbortSignal} signal
 */
export function chainLog(query, signal) {
  const filter = { q: query.get('q') ?? '', event_type: query.get('event_type') ?? '' };
  const list = h('div', {}, bones(6));
  const foot = h('div');
  const append = (rows, page) => {
    rows.append(...page.events.filter(fits).map((event) => labelCells(eventRow(event), EVENT_HEADS)));
    put(foot, page.has_more ? h('div.card-foot', {}, worker('Show older ones', async () => append(rows, await ask(filter, page.next_cursor, signal)))) : null);
  };
  const fits = ({ event_type: type }) => !filter.event_type || type === filter.event_type;
  const load = async () => {
    try {
      const page = await ask(filter, null, signal);
      if (!page.events.some(fits)) {
        put(list, blank('No events fit.', 'Search by signature, wallet, market id or question.'));
        return put(foot);
      }
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
  load();
  return h('div.stack', {}, filterForm(filter, change), card('Events on chain', {}, list, foot));
}

function ask({ q, event_type: type }, cursor, signal) {
  return q.length >= SEARCH_MIN
    ? app.zmart.get('/api/events/search', { q, limit: PAGE, cursor }, { signal })
    : app.zmart.get('/api/events', { event_type: type, limit: PAGE, cursor }, { signal });
}

function filterForm(filter, change) {
  let timer;
  const typed = (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => change({ q: event.target.value.trim() }), TYPING_MS);
  };
  return h('form.filters', { role: 'search', 'aria-label': 'Filter events', onsubmit: (event) => event.preventDefault() },
    h('label', {}, h('span.hidden', {}, 'Search events'),
      h('input.input', { type: 'search', value: filter.q, placeholder: 'Signature, wallet, market or question', maxlength: 100, oninput: typed })),
    h('label', {}, h('span.hidden', {}, 'Type'),
      h('select.input', { onchange: (event) => change({ event_type: event.target.value }) },
        h('option', { value: '' }, 'All types'),
        EVENT_TYPES.map((type) => h('option', { value: type, selected: type === filter.event_type }, words(type))))));
}
