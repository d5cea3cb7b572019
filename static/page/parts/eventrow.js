import { app } from '../app.js';
import { h } from '../dom.js';
import { count, since, words } from '../format.js';
import { cell, endCell } from './basics.js';
import { raw, unfolding } from './raw.js';
import { transaction } from './explorer.js';

/** One event of the chain in a table; its raw data unfold. */

export const EVENT_HEADS = [['Slot', 'spare'], 'Event', 'Transaction', ['When', 'end']];
/** Where all are of one market, in a narrow column. */
export const MARKET_EVENT_HEADS = EVENT_HEADS.slice(1);

/** @param {boolean} withMarket whether the market and the slot are to be named */
export function eventRow(event, withMarket = true) {
  const named = withMarket && event.market_id;
  const summary = [
    h('strong', {}, words(event.event_type)), ' ',
    event.finality === 'finalized' ? null : h('span.dot.off', { title: 'Confirmed, not final yet' }, h('span.hidden', {}, 'not final yet')),
    named ? h('span.muted', {}, ` ${app.nameOf(event.market_id)}`) : null];
  const content = () => [
    raw(event.event_data),
    h('p.row.small', {}, named ? h('a', { href: `#/markets/${event.market_id}` }, 'Open the market') : null,
      h('span.muted', {}, `Slot ${count(event.slot)}, event ${event.event_index} of its transaction, seen by ${event.source}`))];
  return h('tr.feed-line', { 'data-event': event.id },
    withMarket ? h('td.muted', {}, count(event.slot)) : null,
    cell(unfolding(summary, content)),
    cell(transaction(event.tx_signature)),
    endCell(h('span.nowrap', { title: event.timestamp }, since(event.timestamp, app.chainNowMs()))));
}
