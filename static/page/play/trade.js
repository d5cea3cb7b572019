import { app } from '../app.js';
import { h, put } from '../dom.js';
import { baseUnits, percent, sol, units } from '../format.js';
import { explain } from '../notify.js';
import { choice, worker } from '../parts/basics.js';

/** Buying and selling, with the quote that the program will keep to. */

const TYPING_MS = 200;

/**
 * @param {string} marketId
 * @param {(path: string, body: object, text: (built: any) => string) => Promise<void>} act
 */
export function tradeForm(marketId, act) {
  const wish = { side: 'buy', outcome: 'YES' };
  const amount = h('input.input', { inputmode: 'decimal', value: '2', name: 'amount', 'aria-label': 'Amount' });
  const unit = h('span', {}, 'Budget in SOL');
  const quote = h('div.quote', { 'aria-live': 'polite' });
  let asked = 0;
  let timer;

  const refresh = async () => {
    const number = ++asked;
    const value = baseUnits(amount.value);
    if (!value) return put(quote, h('p.muted', {}, 'Type an amount above zero.'));
    const query = { side: wish.side, outcome: wish.outcome, ...(wish.side === 'buy' ? { budget: value } : { shares: value }) };
    const text = await app.zmart.get(`/api/markets/${marketId}/quote`, query).then(drawQuote, (error) => h('p.bad', {}, explain(error)));
    if (number === asked) put(quote, text);
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(refresh, TYPING_MS);
  };
  const change = (part) => {
    Object.assign(wish, part);
    put(unit, wish.side === 'buy' ? 'Budget in SOL' : 'Shares to sell');
    put(submit, `${wish.side === 'buy' ? 'Buy' : 'Sell'} ${wish.outcome}`);
    refresh();
  };
  const submit = worker('Buy YES', () => {
    const value = baseUnits(amount.value);
    if (!value) throw new Error('Type an amount above zero.');
    const body = { market_id: marketId, outcome: wish.outcome, ...(wish.side === 'buy' ? { budget: value } : { shares: value }) };
    return act(`/api/trades/${wish.side}`, body, ({ quote: kept }) => tradeText(wish, kept)).then(refresh);
  }, { kind: 'primary', 'data-do': 'trade' });
  amount.addEventListener('input', soon);
  refresh();
  return {
    refresh: soon,
    element: h('div.stack-s', {},
      h('div.row', {},
        choice('Side', [['buy', 'Buy'], ['sell', 'Sell']], 'buy', (side) => change({ side })),
        choice('Outcome', [['YES', 'YES'], ['NO', 'NO']], 'YES', (outcome) => change({ outcome }))),
      h('label.field', {}, unit, amount), quote, h('div.actions', {}, submit)),
  };
}

function tradeText({ side, outcome }, quote) {
  return side === 'buy'
    ? `bought ${units(quote.shares, 3)} ${outcome} for ${sol(quote.total_cost, 4)}`
    : `sold ${units(quote.shares, 3)} ${outcome} for ${sol(quote.proceeds, 4)}`;
}

function drawQuote(quote) {
  if (!quote.executable) return h('p.bad', {}, `The program would refuse this: ${quote.error?.name ?? 'unknown'}.`);
  const pair = (name, value) => h('div', {}, h('span', {}, name), h('strong', {}, value));
  return [
    pair('Shares', units(quote.shares, 3)),
    pair(quote.side === 'buy' ? 'Total cost' : 'You receive', sol(quote.side === 'buy' ? quote.total_cost : quote.proceeds, 4)),
    pair('Fees', sol(quote.fees.total, 4)),
    pair('YES after', percent(quote.price_after.priceYes)),
  ];
}
