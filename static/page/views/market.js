import { app } from '../app.js';
import { h, put, putIfChanged, say } from '../dom.js';
import { joined, throttled } from '../follow.js';
import { bps, count, date, sol, units, words } from '../format.js';
import { discussionPanel } from '../panels/discussion.js';
import { eventsPanel } from '../panels/events.js';
import { positionsPanel } from '../panels/positions.js';
import { pricePanel } from '../panels/price.js';
import { tradesPanel } from '../panels/trades.js';
import { votesPanel } from '../panels/votes.js';
import { badge, bones, card, copyable, facts, failed, outcomeBadge, stateBadge } from '../parts/basics.js';
import { lifecycle, timeLeft } from '../parts/lifecycle.js';
import { prices } from '../parts/prices.js';

/** One market, live: where it stands in its life, prices, flow, votes, positions, talk, events. */

const RELOAD_PAUSE_MS = 5_000;
const CLOCK_EVERY_MS = 1_000;
const PATIENCE_MS = 500;

export async function mount(context) {
  const { root, params, signal } = context;
  put(root, h('section.card', {}, bones(5)));
  try {
    const market = await app.zmart.get(`/api/markets/${encodeURIComponent(params.id)}`, {}, { signal });
    if (!signal.aborted) new MarketView(context, market);
  } catch (error) {
    if (signal.aborted) return;
    put(root, h('section.card', {}, error.status === 404
      ? h('div.blank', {}, h('strong', {}, 'There is no such market.'), 'It may not be indexed yet.', h('div', {}, h('a.button', { href: '#/markets' }, 'All markets')))
      : failed(error, () => mount(context))));
  }
}

class MarketView {
  constructor({ root, signal, setTitle }, market) {
    this.id = market.market_id;
    this.market = market;
    this.head = makeHead();
    this.figures = h('div.card-body');
    const make = [pricePanel, tradesPanel, votesPanel, positionsPanel, discussionPanel, eventsPanel];
    this.panels = make.map((panel) => panel(this.id, signal));
    this.reload = throttled(async () => {
      this.market = await app.zmart.get(`/api/markets/${this.id}`, {}, { signal });
      this.#draw();
    }, RELOAD_PAUSE_MS);
    app.know([market]);
    this.drawSoon = joined(() => this.#draw(), signal);
    setTitle(market.title);
    put(root, this.#layout());
    app.watch('protocol', signal, () => this.#draw());
    this.#live(signal);
  }

  #layout() {
    const [price, trades, votes, positions, discussion, events] = this.panels.map(({ element }) => element);
    // On a narrow screen these two come first.
    for (const element of [price, votes]) element.classList.add('early');
    return [this.head.element, h('div.split.market', {},
      h('div.stack', {}, price, trades, positions, discussion),
      h('div.stack', {}, votes, card('Figures', {}, this.figures), events))];
  }

  #draw() {
    this.head.draw(this.market);
    putIfChanged(this.figures, [this.market, app.protocol], () => marketFacts(this.market));
    for (const panel of this.panels) panel.state?.(this.market);
  }

  #live(signal) {
    app.live.listen({ channels: [`market:${this.id}`], onMessage: (message) => this.#receive(message), onReset: () => this.#everything() }, signal);
    // What is loaded once the subscription holds misses nothing; without a connection it is loaded all the same.
    this.patience = setTimeout(() => this.#loadPanels(), PATIENCE_MS);
    const timer = setInterval(() => this.head.tick(this.market), CLOCK_EVERY_MS);
    signal.addEventListener('abort', () => {
      clearInterval(timer);
      clearTimeout(this.patience);
    });
  }

  #loadPanels() {
    clearTimeout(this.patience);
    for (const panel of this.panels) panel.load();
  }

  #everything() {
    this.reload();
    this.#loadPanels();
  }

  #receive({ type, data }) {
    if (data?.market_id !== this.id) return;
    if (type === 'market_state') this.#takeState(data);
    if (type === 'price') this.#takePrices(data);
    for (const panel of this.panels) panel.receive?.(type, data);
  }

  #takeState(data) {
    if (data.market) this.market = data.market;
    else this.reload();
    this.#takePrices(data);
    if (data.new_state) this.#draw();
    if (data.new_state || data.action === 'snapshot') this.#loadPanels();
  }

  /** Prices come with the message; the other figures follow when the row is read again. */
  #takePrices({ priceYes, priceNo, shares_yes, shares_no }) {
    this.market = { ...this.market, priceYes, priceNo, shares_yes, shares_no };
    this.drawSoon();
  }
}

function makeHead() {
  const above = h('div.row.small');
  const title = h('h1.question-title');
  const description = h('p.described.small');
  const numbers = h('div');
  const left = h('p.small.muted');
  const steps = h('div');
  const element = h('div.stack', {},
    h('nav.crumbs', { 'aria-label': 'Breadcrumb' }, h('a', { href: '#/markets' }, 'Markets')),
    h('div.stack-s', {}, above, title, description),
    h('section.card', { 'aria-label': 'State' }, h('div.card-body.stack', {}, h('div.row-between', {}, numbers, left), steps)));
  const tick = (market) => say(left, timeLeft(market, app.chainNowMs()));
  const draw = (market) => {
    say(title, market.title);
    say(description, market.description);
    putIfChanged(above, [market.state, market.category, market.tags, market.hidden, market.note, app.cluster], () => tags(market));
    putIfChanged(numbers, [market.priceYes, market.priceNo, market.state, market.final_outcome_name], () => prices(market));
    putIfChanged(steps, [market.state, market.updated_at, market.was_disputed], () => lifecycle(market));
    tick(market);
  };
  return { element, draw, tick };
}

function tags(market) {
  return [
    stateBadge(market.state),
    badge(words(market.category)),
    market.tags.filter((tag) => tag !== market.category).map((tag) => h('span.muted', {}, `#${tag}`)),
    market.hidden ? badge('hidden', 'warn') : null,
    market.ready_for_approval ? badge('ready for approval', 'accent') : null,
    market.note ? badge(market.note, 'warn') : null,
    app.isPlayable ? h('a', { href: `#/playground/${market.id}` }, 'Open in the playground') : null,
  ];
}

function marketFacts(market) {
  const pairs = [
    ['Market id', copyable(market.market_id, `${market.market_id.slice(0, 8)}…`)],
    ['Account', copyable(market.on_chain_address)],
    ['Creator', copyable(market.creator)],
    market.proposed_outcome_name ? ['Proposed outcome', outcomeBadge(market.proposed_outcome_name)] : null,
    market.resolver_wallet ? ['Resolver', copyable(market.resolver_wallet)] : null,
    market.dispute_initiator ? ['Disputed by', copyable(market.dispute_initiator)] : null,
    market.ipfs_evidence_hash ? ['Evidence', copyable(market.ipfs_evidence_hash)] : null,
    ['Traded', sol(market.total_volume)],
    ['Liquidity', sol(market.current_liquidity)],
    ['Shares YES', units(market.shares_yes)],
    ['Shares NO', units(market.shares_no)],
    ['Market depth b', units(market.b_parameter)],
    ['Fees collected', sol(String(BigInt(market.accumulated_lp_fees) + BigInt(market.accumulated_resolver_fees)), 6)],
    ['Trading fee', app.protocol ? bps(app.protocol.protocol_fee_bps + app.protocol.resolver_reward_bps + app.protocol.liquidity_provider_fee_bps) : '–'],
    ['Ends', market.end_date ? date(market.end_date) : 'unknown'],
    ['Text', market.text_source === 'draft' ? 'verified by its hash' : 'unknown'],
    ['Changed at slot', count(market.slot)],
  ];
  return facts(pairs.filter((pair) => pair !== null));
}
