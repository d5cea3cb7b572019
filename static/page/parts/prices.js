import { h, s } from '../dom.js';
import { percent } from '../format.js';

/** YES against NO as a thin bar. */
export function priceBar(market) {
  const yes = market.priceYes ?? 0.5;
  return s('svg.price-bar', { viewBox: '0 0 100 6', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    s('rect.votes-no', { width: 100, height: 6 }), s('rect.votes-yes', { width: yes * 100, height: 6 }));
}

/** States in which nobody can trade yet, or ever. */
const SAYINGS = { PROPOSED: 'Waiting for votes', APPROVED: 'Ready to be activated', CANCELLED: 'Cancelled' };

/** What a list says in place of prices; null while there are prices to show. */
export const insteadOfPrices = (market) => SAYINGS[market.state] ?? null;

/** Both prices in large figures; the outcome once there is one. */
export function prices(market) {
  const saying = insteadOfPrices(market);
  if (saying) return h('p.saying', {}, saying);
  if (market.state === 'FINALIZED') {
    const name = market.final_outcome_name;
    return h('div.prices', {}, h('div', {}, h('span.price-big', { class: name === 'YES' ? 'yes' : name === 'NO' ? 'no' : '' }, name), h('span.muted.small', {}, 'final outcome')));
  }
  return h('div.prices', {},
    h('div', {}, h('span.price-big.yes', {}, percent(market.priceYes)), h('span.muted.small', {}, 'YES')),
    h('div', {}, h('span.price-big.no', {}, percent(market.priceNo)), h('span.muted.small', {}, 'NO')));
}
