import { app } from '../app.js';
import { h, put, putIfChanged, say } from '../dom.js';
import { baseUnits, percent, sol, units } from '../format.js';
import { explain } from '../notify.js';
import { choice, worker } from '../parts/basics.js';
import { positionOf } from '../parts/position.js';

/** Buying and selling: the quote that the program will keep to, and what it pays in the end. */

const TYPING_MS = 200;
const SLIPPAGE_KEY = 'zmart.slippage';
const SLIPPAGES = [['50', '0.5 %'], ['100', '1 %'], ['300', '3 %'], ['1000', '10 %']];
const BPS = 10_000n;
/** The program takes no smaller trade, in lamports. */
const LEAST = 10_000n;
/** What a first trade costs besides: the position's rent, what a wallet has to keep, and the network's fee. */
const RESERVE = 3_100_000n;
const BUY_STEPS = ['0.5', '1', '5'];
const SELL_STEPS = [25, 50];

/**
 * Who trades.
 * @typedef {object} Trader
 * @property {() => string | null} address
 * @property {() => string | null} lamports
 * @property {(path: string, body: object, text: (built: any) => string) => Promise<void>} act
 * @property {() => Promise<unknown>} connect   lets somebody choose a wallet
 */

/**
 * @param {any} market
 * @param {Trader} trader
 */
export function tradeForm(market, trader) {
  return new TradeForm(market, trader);
}

class TradeForm {
  #asked = 0;
  #timer = 0;
  /** @type {any} */ #quote = null;
  /** @type {any} the trader's position, null without one */ #position = null;
  #problem = '';

  constructor(market, trader) {
    this.market = market;
    this.trader = trader;
    this.side = 'buy';
    this.outcome = 'YES';
    this.slippage = localStorage.getItem(SLIPPAGE_KEY) ?? '100';
    this.amount = /** @type {HTMLInputElement} */ (h('input.input.amount', { inputmode: 'decimal', placeholder: '0', name: 'amount', autocomplete: 'off', 'aria-describedby': 'trade-problem' }));
    this.unit = h('span');
    this.held = h('span.small.muted');
    this.steps = h('div.chips');
    this.problem = h('p.small.bad', { id: 'trade-problem' });
    this.quote = h('div.offer', { 'aria-live': 'polite' });
    this.submit = worker('Buy', () => this.#trade(), { kind: 'primary wide', 'data-do': 'trade' });
    this.outcomes = h('div.outcomes', { role: 'group', 'aria-label': 'Outcome' });
    this.amount.addEventListener('input', () => this.refresh());
    this.element = h('div.stack-s.trade', {},
      choice('Side', [['buy', 'Buy'], ['sell', 'Sell']], 'buy', (side) => this.#turn(side)),
      this.outcomes,
      h('div.stack-xs', {},
        h('label.field', {}, h('span.row-between', {}, this.unit, this.held), this.amount),
        this.steps, this.problem),
      this.quote,
      this.submit,
      this.#slippageField());
    this.#drawSide();
    this.update(market);
    this.readPosition();
  }

  #slippageField() {
    const select = h('select.input.slim', { name: 'slippage', onchange: (event) => {
      this.slippage = event.target.value;
      localStorage.setItem(SLIPPAGE_KEY, this.slippage);
      this.#drawQuote();
    } }, SLIPPAGES.map(([value, text]) => h('option', { value, selected: value === this.slippage }, text)));
    return h('label.row-between.small.muted', {}, 'Price may move by', select);
  }

  /** The market as it is now: prices on the buttons. */
  update(market) {
    this.market = market;
    putIfChanged(this.outcomes, [market.priceYes, this.outcome], () => [['YES', market.priceYes], ['NO', market.priceNo]].map(([name, price]) =>
      h('button.outcome', { type: 'button', class: name === 'YES' ? 'yes' : 'no', 'data-outcome': name, 'data-key': `outcome-${name}`, 'aria-pressed': String(name === this.outcome), onclick: () => this.choose(name) },
        h('span', {}, name), h('strong', {}, percent(price, 1)))));
  }

  /** @param {string} outcome */
  choose(outcome) {
    if (outcome === this.outcome) return;
    this.outcome = outcome;
    if (this.side === 'sell') this.amount.value = '';
    this.update(this.market);
    this.#drawSide();
    this.refresh();
  }

  #turn(side) {
    this.side = side;
    this.amount.value = '';
    this.#drawSide();
    this.refresh();
  }

  /** Reads what the trader holds, and asks for the quote anew: somebody traded, or another wallet is connected. */
  async readPosition() {
    const address = this.trader.address();
    const found = address === null ? null : await positionOf(address, this.market.market_id).catch(() => null);
    if (address !== this.trader.address()) return;
    this.#position = found;
    this.#drawSide();
    this.refresh();
  }

  get #heldShares() {
    return BigInt((this.outcome === 'YES' ? this.#position?.shares_yes : this.#position?.shares_no) ?? 0);
  }

  #drawSide() {
    const buys = this.side === 'buy';
    say(this.unit, buys ? 'Amount in SOL' : `${this.outcome} shares to sell`);
    const lamports = this.trader.lamports();
    const holds = buys ? (lamports === null ? '' : `Balance ${sol(lamports, 3)}`) : `You hold ${units(this.#heldShares.toString(), 3)}`;
    say(this.held, this.trader.address() === null ? '' : holds);
    putIfChanged(this.steps, [buys, this.outcome, lamports, this.#heldShares.toString()], () => (buys ? this.#buySteps(lamports) : this.#sellSteps()));
  }

  #buySteps(lamports) {
    const set = (text) => () => this.#set(text);
    const most = lamports === null ? 0n : BigInt(lamports) - RESERVE;
    return [BUY_STEPS.map((step) => h('button', { type: 'button', onclick: set(step) }, `${step} SOL`)),
      most > LEAST ? h('button', { type: 'button', 'data-do': 'max', onclick: set(plain(most)) }, 'Max') : null];
  }

  #sellSteps() {
    const held = this.#heldShares;
    if (held === 0n) return null;
    return [SELL_STEPS.map((share) => h('button', { type: 'button', onclick: () => this.#set(plain((held * BigInt(share)) / 100n)) }, `${share} %`)),
      h('button', { type: 'button', 'data-do': 'max', onclick: () => this.#set(plain(held)) }, 'Max')];
  }

  #set(text) {
    this.amount.value = text;
    this.refresh();
  }

  /** Asks for the quote of what is typed. */
  refresh() {
    clearTimeout(this.#timer);
    this.#drawSide();
    this.#quote = null;
    this.#problem = this.#problemOf(this.amount.value.trim());
    this.#asked += 1;
    if (this.amount.value.trim() === '' || this.#problem) return this.#drawQuote();
    this.#timer = setTimeout(() => this.#ask(), TYPING_MS);
  }

  #problemOf(text) {
    if (text === '') return '';
    const value = baseUnits(text);
    if (value === null) return 'Type a number above zero, such as 0.5.';
    if (this.side === 'buy') {
      if (BigInt(value) < LEAST) return 'The least that can be traded is 0.00001 SOL.';
      const lamports = this.trader.lamports();
      if (lamports !== null && BigInt(value) > BigInt(lamports)) return `This wallet has ${sol(lamports, 4)}.`;
    } else if (this.trader.address() !== null && BigInt(value) > this.#heldShares) {
      return this.#heldShares === 0n ? `You hold no ${this.outcome} shares.` : `You hold ${units(this.#heldShares.toString(), 9)} ${this.outcome} shares.`;
    }
    return '';
  }

  async #ask() {
    const number = ++this.#asked;
    const value = baseUnits(this.amount.value);
    if (value === null) return;
    const query = { side: this.side, outcome: this.outcome, wallet: this.trader.address(), ...(this.side === 'buy' ? { budget: value } : { shares: value }) };
    const [quote, problem] = await app.zmart.get(`/api/markets/${this.market.market_id}/quote`, query).then((found) => [found, found.refusal ?? ''], (error) => [null, explain(error)]);
    if (number !== this.#asked) return;
    this.#quote = quote?.executable ? quote : null;
    this.#problem = problem;
    this.#drawQuote();
  }

  #drawQuote() {
    say(this.problem, this.#problem);
    this.amount.setAttribute('aria-invalid', String(this.#problem !== ''));
    put(this.quote, this.#quote ? quoteLines(this.#quote, this.#least()) : null);
    this.quote.hidden = !this.#quote;
    const connected = this.trader.address() !== null;
    const verb = `${this.side === 'buy' ? 'Buy' : 'Sell'} ${this.outcome}`;
    const for_ = this.#quote ? ` for ${sol(this.side === 'buy' ? this.#quote.total_cost : this.#quote.proceeds, 3)}` : '';
    put(this.submit, connected ? verb + for_ : 'Connect a wallet to trade');
    this.submit.disabled = connected && !this.#quote;
    this.submit.dataset.outcome = this.outcome;
  }

  /** The shares, or lamports, below which nothing is to be built. */
  #least() {
    const quoted = BigInt(this.side === 'buy' ? this.#quote.shares : this.#quote.proceeds);
    return (quoted * (BPS - BigInt(this.slippage))) / BPS;
  }

  async #trade() {
    if (this.trader.address() === null) return void (await this.trader.connect());
    const { side, outcome } = this;
    const quote = this.#quote;
    if (!quote) throw new Error('Wait for the quote.');
    const wish = side === 'buy' ? { budget: baseUnits(this.amount.value), min_shares: this.#least().toString() } : { shares: baseUnits(this.amount.value), min_proceeds: this.#least().toString() };
    await this.trader.act(`/api/trades/${side}`, { market_id: this.market.market_id, outcome, ...wish }, ({ quote: kept }) => tradeText(side, outcome, kept));
    this.amount.value = '';
    await this.readPosition();
  }
}

/** Base units as a plain decimal that can be typed again. */
function plain(value) {
  const text = value.toString().padStart(10, '0');
  return `${text.slice(0, -9)}.${text.slice(-9)}`.replace(/\.?0+$/, '');
}

function tradeText(side, outcome, quote) {
  return side === 'buy'
    ? `bought ${units(quote.shares, 3)} ${outcome} for ${sol(quote.total_cost, 4)}`
    : `sold ${units(quote.shares, 3)} ${outcome} for ${sol(quote.proceeds, 4)}`;
}

const line = (name, ...value) => h('div.row-between', {}, h('span', {}, name), h('span.figures', {}, ...value));

function quoteLines(quote, least) {
  const buys = quote.side === 'buy';
  return [
    buys ? payoutLines(quote) : line('You receive', h('strong', {}, sol(quote.proceeds, 4))),
    buys ? line('Shares', units(quote.shares, 3)) : null,
    line('Average price', `${quote.avg_price.toFixed(4)} SOL`),
    line('YES', `${percent(quote.price_before.priceYes)} → ${percent(quote.price_after.priceYes)}`),
    line('Fees, included', sol(quote.fees.total, 4)),
    line('At least', buys ? `${units(least.toString(), 3)} shares` : sol(least.toString(), 4)),
    buys ? cautions(quote) : null,
  ];
}

/** What the whole position is paid by the outcome. */
function payoutLines(quote) {
  const lines = [['YES', quote.payout_if_yes], ['NO', quote.payout_if_no]].map(([name, amount]) =>
    h('div.payout', { class: name === 'YES' ? 'yes' : 'no', 'data-payout': name },
      h('span', {}, `If ${name} wins`), h('strong', {}, amount === '0' ? '0 SOL' : `about ${sol(amount, 3)}`)));
  return h('div.payouts', {}, lines);
}

function cautions(quote) {
  const told = new Set(quote.warnings);
  const pays = quote.outcome === 'YES' ? quote.payout_if_yes : quote.payout_if_no;
  return [
    told.has('payout_below_cost') ? h('p.notice.warn', { 'data-warning': 'payout_below_cost' }, `Even if ${quote.outcome} wins this pays less than it costs: winners share what the market accounts for, in proportion to their shares.`) : null,
    told.has('payout_above_payable') ? h('p.notice.warn', { 'data-warning': 'payout_above_payable' }, `The market’s account can pay ${sol(quote.payable_now, 3)} in all after this trade, less than ${sol(pays, 3)}. Unless others trade more, that claim would be refused.`) : null,
    told.has('creator_may_withdraw') ? h('p.fine', {}, 'Once the outcome is final the creator may withdraw all that is unclaimed, from the first second. Claim early.') : null,
  ];
}
