import { app } from '../app.js';
import { h, put, putIfChanged, say } from '../dom.js';
import { joined, throttled } from '../follow.js';
import { bps, count, date, sol, units, words } from '../format.js';
import { actBox } from '../panels/act.js';
import { casePanel } from '../panels/case.js';
import { discussionPanel } from '../panels/discussion.js';
import { eventsPanel } from '../panels/events.js';
import { minePanel } from '../panels/mine.js';
import { positionsPanel } from '../panels/positions.js';
import { pricePanel } from '../panels/price.js';
import { tradesPanel } from '../panels/trades.js';
import { votesPanel } from '../panels/votes.js';
import { badge, bones, card, copyable, facts, failed, outcomeBadge, stateBadge } from '../parts/basics.js';
import { account, walletLink } from '../parts/explorer.js';
import { lifecycle, timeLeft } from '../parts/lifecycle.js';
import { prices } from '../parts/prices.js';

/** One market, live: price, chart, what one can do, the own position, rules, talk; then flow, holders and events. */

const RELOAD_PAUSE_MS = 5_000;
const CLOCK_EVERY_MS = 1_000;
const PATIENCE_MS = 500;
const UNTRADED = new Set(['PROPOSED', 'APPROVED', 'CANCELLED']);

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
    this.rules = h('div.card-body.stack-s');
    this.act = actBox(this.id, signal);
    const [price, trades, votes, positions, discussion, events, case_] = [pricePanel, tradesPanel, votesPanel, positionsPanel, discussionPanel, eventsPanel, casePanel].map((panel) => panel(this.id, signal));
    const mine = minePanel(this.id, signal, { onPosition: (found) => this.act.position(found) });
    this.parts = { price, trades, votes, positions, discussion, events, case: case_, mine, act: this.act };
    this.panels = Object.values(this.parts);
    /** What has nothing to show before the first trade, or ever. */
    this.traded = [price.element, trades.element, positions.element];
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
    const { price, trades, votes, positions, discussion, events, case: case_, mine } = this.parts;
    return [this.head.element, case_.element, h('div.split.market', {},
      h('div.stack', {}, price.element, mine.element, card('Rules', {}, this.rules), discussion.element, trades.element, positions.element),
      h('div.stack.side', {}, this.act.element, votes.element, card('Figures', {}, this.figures), events.element)),
    this.act.bar];
  }

  #draw() {
    const { market } = this;
    this.head.draw(market);
    for (const element of this.traded) element.hidden = UNTRADED.has(market.state);
    putIfChanged(this.rules, [market.description, market.end_date, market.state, app.protocol], () => rules(market));
    putIfChanged(this.figures, [market, app.protocol], () => marketFacts(market));
    for (const panel of this.panels) panel.state?.(market);
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
  const numbers = h('div');
  const left = h('p.small.muted');
  const steps = h('div.life-wrap');
  const element = h('div.stack-s.market-head', {},
    h('nav.crumbs', { 'aria-label': 'Breadcrumb' }, h('a', { href: '#/markets' }, 'Markets')),
    title, above,
    h('div.row-between', {}, numbers, left), steps);
  const tick = (market) => say(left, timeLeft(market, app.chainNowMs()));
  const draw = (market) => {
    say(title, market.title);
    putIfChanged(above, [market.state, market.category, market.tags, market.hidden, market.note, app.cluster, market.total_volume], () => tags(market));
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
    market.total_volume === '0' ? null : h('span.muted', {}, `${sol(market.total_volume, 2)} traded`),
    market.hidden ? badge('hidden', 'warn') : null,
    market.ready_for_approval ? badge('ready for approval', 'accent') : null,
    market.note ? badge(market.note, 'warn') : null,
    app.isPlayable ? h('a', { href: `#/playground/${market.id}` }, 'Open in the playground') : null,
  ];
}

/** How it is decided and paid, in words. */
function rules(market) {
  return [
    market.description ? h('p.described', {}, market.description) : h('p.muted', {}, 'Its creator wrote no rules down.'),
    h('p.small.muted', {}, market.end_date ? `Trading is meant to end ${date(market.end_date)}. ` : '', 'Anybody may then propose the outcome with evidence; while it can be disputed, holders of shares decide by vote.'),
    h('p.small.muted', {}, 'Winners share what the market accounts for, in proportion to their shares: a winning stake can be paid less than it cost, and the creator may withdraw what is unclaimed once the outcome is final.'),
  ];
}

function marketFacts(market) {
  const pairs = [
    ['Traded', sol(market.total_volume)],
    ['One YES share pays', market.shares_yes === '0' ? '–' : `${sol(market.payout_if_yes, 4)} if YES wins`],
    ['One NO share pays', market.shares_no === '0' ? '–' : `${sol(market.payout_if_no, 4)} if NO wins`],
    ['Can be paid now', sol(market.payable_now)],
    ['Accounted for', sol(market.current_liquidity)],
    ['YES shares', units(market.shares_yes)],
    ['NO shares', units(market.shares_no)],
    ['Depth', h('span', { title: 'Parameter b of the pricing formula: the higher, the less a trade moves the price.' }, units(market.b_parameter))],
    ['Fees collected', sol(String(BigInt(market.accumulated_lp_fees) + BigInt(market.accumulated_resolver_fees)), 6)],
    ['Trading fee', app.protocol ? bps(app.protocol.protocol_fee_bps + app.protocol.resolver_reward_bps + app.protocol.liquidity_provider_fee_bps) : '–'],
    ['Ends', market.end_date ? date(market.end_date) : 'unknown'],
    ['Creator', walletLink(market.creator)],
    market.proposed_outcome_name ? ['Proposed outcome', outcomeBadge(market.proposed_outcome_name)] : null,
    market.resolver_wallet ? ['Resolver', walletLink(market.resolver_wallet)] : null,
    market.dispute_initiator ? ['Disputed by', walletLink(market.dispute_initiator)] : null,
    market.ipfs_evidence_hash ? ['Evidence', copyable(market.ipfs_evidence_hash)] : null,
    ['Market id', copyable(market.market_id)],
    ['Account', account(market.on_chain_address)],
    ['Text', market.text_source === 'draft' ? 'verified by its hash' : 'unknown'],
    ['Changed at slot', count(market.slot)],
  ];
  return facts(pairs.filter((pair) => pair !== null));
}
