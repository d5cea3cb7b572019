import { app } from '../app.js';
import { h, put, say } from '../dom.js';
import { joined } from '../follow.js';
import { count, percent, sol, words } from '../format.js';
import { announce } from '../notify.js';
import { activityPanel, trendingPanel } from '../panels/activity.js';
import { blank, bones, failed, stateBadge, worker } from '../parts/basics.js';
import { timeLeft } from '../parts/lifecycle.js';
import { insteadOfPrices, priceBar } from '../parts/prices.js';
import { setQuery } from '../router.js';

/** The list of markets, filtered; it changes while one looks at it. */

const PAGE = 25;
/** So many rows stay in the page, however long it is open and whatever is created meanwhile. */
const ROWS_MAX = 500;
const TYPING_MS = 250;
const QUESTION_MIN = 3;
const STATES = ['PROPOSED', 'APPROVED', 'ACTIVE', 'RESOLVING', 'DISPUTED', 'FINALIZED', 'CANCELLED'];
const CATEGORIES = ['crypto', 'politics', 'sports', 'technology', 'finance', 'entertainment', 'science', 'other'];
const SORTS = [['newest', 'Newest'], ['volume', 'Most traded'], ['ending_soon', 'Ending soon']];

export function mount({ root, query, signal }) {
  const view = new MarketList(signal, {
    q: query.get('q') ?? '', state: query.get('state') ?? '', category: query.get('category') ?? '', sort: query.get('sort') ?? 'newest',
  });
  const panels = [trendingPanel(signal), activityPanel(signal)];
  put(root,
    h('div.view-head', {}, h('div', {}, h('h1', {}, 'Markets'), view.summary),
      h('a.button.primary', { href: '#/create', 'data-do': 'new-market' }, 'New market')),
    h('div.split', {},
      h('div.stack', {}, view.filters(), h('section.card', { 'aria-label': 'Markets found' }, view.list, view.foot)),
      h('div.stack', {}, panels.map(({ element }) => element))));
  const loadAll = () => [view, ...panels].forEach((each) => each.load());
  loadAll();
  app.live.listen({ channels: ['markets', 'trades'], onMessage: (message) => {
    view.receive(message);
    for (const panel of panels) panel.receive(message.type);
  }, onReset: loadAll }, signal);
}

class MarketList {
  constructor(signal, filter) {
    this.signal = signal;
    this.filter = filter;
    this.rows = new Map();
    /** The last message about each market that is not drawn yet. */
    this.changes = new Map();
    this.soon = joined(() => this.#takeChanges(), signal);
    this.cursor = null;
    this.total = 0;
    this.capped = false;
    this.summary = h('p', {}, ' ');
    this.list = h('ul.market-list', {}, h('li', {}, bones(6)));
    this.foot = h('div');
    this.asking = new AbortController();
    signal.addEventListener('abort', () => this.asking.abort());
  }

  filters() {
    let timer;
    const typed = (event) => {
      clearTimeout(timer);
      timer = setTimeout(() => this.#change({ q: event.target.value.trim() }), TYPING_MS);
    };
    return h('form.filters', { role: 'search', 'aria-label': 'Filter markets', onsubmit: (event) => event.preventDefault() },
      h('label', {}, h('span.hidden', {}, 'Search questions'), h('input.input', { type: 'search', name: 'q', placeholder: 'Search questions', value: this.filter.q, maxlength: 100, oninput: typed })),
      this.#select('State', 'state', [['', 'All states'], ...STATES.map((state) => [state, words(state)])]),
      this.#select('Category', 'category', [['', 'All categories'], ...CATEGORIES.map((category) => [category, words(category)])]),
      this.#select('Order', 'sort', SORTS));
  }

  #select(label, name, options) {
    return h('label', {}, h('span.hidden', {}, label),
      h('select.input', { name, onchange: (event) => this.#change({ [name]: event.target.value }) },
        options.map(([value, text]) => h('option', { value, selected: value === this.filter[name] }, text))));
  }

  #change(part) {
    Object.assign(this.filter, part);
    setQuery({ ...this.filter, sort: this.filter.sort === 'newest' ? '' : this.filter.sort });
    this.load();
  }

  async load() {
    this.asking.abort();
    this.asking = new AbortController();
    try {
      const page = await this.#ask(null);
      this.rows.clear();
      put(this.list);
      this.#append(page);
      this.total = page.total_count;
      this.capped = page.total_capped === true;
      announce(this.#tellTotal());
    } catch (error) {
      if (this.asking.signal.aborted) return;
      put(this.list, h('li', {}, failed(error, () => this.load())));
      put(this.foot);
    }
  }

  /** How many markets fit the filter, those included that came and went since they were counted. */
  #tellTotal() {
    const text = this.total === 1 ? '1 market' : `${count(this.total)}${this.capped ? '+' : ''} markets`;
    say(this.summary, text);
    return text;
  }

  #ask(cursor) {
    const { q, state, category, sort } = this.filter;
    const { signal } = this.asking;
    return app.zmart.get('/api/markets', { q: q.length >= QUESTION_MIN ? q : null, state, category, sort, limit: PAGE, cursor }, { signal });
  }

  #append(page) {
    app.know(page.markets);
    for (const market of page.markets) {
      this.rows.get(market.id)?.item.remove();
      this.list.append(this.#row(market));
    }
    this.cursor = page.next_cursor ?? null;
    const full = this.rows.size >= ROWS_MAX;
    if (full) put(this.foot, h('p.card-foot', {}, `The first ${this.rows.size}. Filter or search to find others.`));
    else put(this.foot, page.has_more ? h('div.card-foot.row', {}, worker('Show more', async () => this.#append(await this.#ask(this.cursor)))) : null);
    if (!this.rows.size) put(this.list, h('li', {}, this.#nothing()));
  }

  #nothing() {
    const filtered = this.filter.q || this.filter.state || this.filter.category;
    return filtered
      ? blank('Nothing fits this filter.', 'Try fewer conditions.')
      : blank('No markets yet.', 'The first one appears here by itself.', h('div', {}, h('a.button', { href: '#/create' }, 'Create it')));
  }

  #row(market) {
    const item = h('li', { 'data-market': market.id }, rowLink(market));
    this.rows.set(market.id, { market, item });
    return item;
  }

  /** A message of the feed about one market: its row changes in place, or a new one joins at the top. */
  receive({ type, data }) {
    if (type !== 'market_state') return;
    const before = this.changes.get(data.market_id);
    const joins = before && before.action !== 'deleted' && data.action === 'updated';
    const market = data.market ?? (before?.market && { ...before.market, ...figures(data) });
    this.changes.set(data.market_id, joins ? { ...data, action: before.action, market } : data);
    this.soon();
  }

  #takeChanges() {
    for (const data of this.changes.values()) this.#update(data);
    this.changes.clear();
  }

  #update(data) {
    if (data.action === 'deleted') return this.#remove(data.market_id);
    const known = this.rows.get(data.market_id);
    if (known) return this.#replace(known, { ...known.market, ...(data.market ?? figures(data)) });
    const { q, sort } = this.filter;
    if (data.market && !q && sort === 'newest' && this.#fits(data.market) && data.action === 'created') {
      if (!this.rows.size) put(this.list);
      this.list.prepend(this.#row(data.market));
      this.total += 1;
      this.#tellTotal();
      while (this.rows.size > ROWS_MAX) this.#drop(this.list.lastElementChild.dataset.market);
    }
  }

  #drop(id) {
    this.rows.get(id)?.item.remove();
    this.rows.delete(id);
  }

  #replace(known, market) {
    if (!this.#fits(market)) return this.#remove(market.id);
    known.market = market;
    const link = rowLink(market);
    link.classList.add('changed');
    put(known.item, link);
  }

  #remove(id) {
    if (!this.rows.has(id)) return;
    this.#drop(id);
    this.total -= 1;
    this.#tellTotal();
    if (!this.rows.size) put(this.list, h('li', {}, this.#nothing()));
  }

  #fits(market) {
    const { state, category } = this.filter;
    return (!state || market.state === state) && (!category || market.category === category);
  }
}

/** What a message says of a market when only trading figures changed. */
function figures(data) {
  const { state, priceYes, priceNo, shares_yes, shares_no } = data;
  return { state, priceYes, priceNo, shares_yes, shares_no };
}

function rowLink(market) {
  return h('a.market-row', { href: `#/markets/${market.id}`, 'data-key': market.id },
    h('span.about', {},
      h('span.question', {}, market.title),
      h('span.under', {}, stateBadge(market.state), words(market.category), h('span', {}, timeLeft(market, app.chainNowMs())))),
    insteadOfPrices(market) ? h('span.small.muted', {}, insteadOfPrices(market)) : h('span.price', {}, priceText(market), priceBar(market)),
    h('span.traded.small', {}, sol(market.total_volume, 2), h('span.muted', {}, ' traded')));
}

function priceText(market) {
  if (market.state === 'FINALIZED') return h('span', {}, h('strong', {}, market.final_outcome_name), h('span.muted', {}, 'outcome'));
  return h('span', {}, h('strong.yes', {}, percent(market.priceYes, 0)), h('span.no', {}, percent(market.priceNo, 0)));
}
