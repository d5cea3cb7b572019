import { app } from '../app.js';
import { h } from '../dom.js';
import { address, count, since, words } from '../format.js';
import { badge, cell, copyable, endCell } from './basics.js';

/** One event of the chain in a table; its raw data unfold. */

export const EVENT_HEADS = [['Slot', 'slot-cell'], 'Event', 'Transaction', ['When', 'end']];

/** @param {boolean} withMarket whether the market is to be named */
export function eventRow(event, withMarket = true) {
  return h('tr.feed-line', { 'data-event': event.id },
    h('td.slot-cell.muted', {}, count(event.slot)),
    cell(h('details', {},
      h('summary', {}, h('strong', {}, words(event.event_type)), ' ', event.finality === 'finalized' ? null : badge('confirmed'), withMarket && event.market_id ? h('span.muted', {}, ` market ${event.market_id.slice(0, 8)}`) : null),
      h('pre.raw', { tabindex: '0' }, JSON.stringify(event.event_data, null, 2)),
      withMarket && event.market_id ? h('p.small', {}, h('a', { href: `#/markets/${event.market_id}` }, 'Open the market')) : null)),
    cell(copyable(event.signature ?? event.tx_signature, address(event.tx_signature), 'Signature copied')),
    endCell(h('span.nowrap', {}, since(event.timestamp, app.chainNowMs()))));
}
