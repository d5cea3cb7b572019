import { h } from '../dom.js';
import { address, date, words } from '../format.js';
import { badge, cell } from '../parts/basics.js';
import { marketLink } from '../parts/market.js';
import { freshList } from './lists.js';

const MARKET_ID = /^[0-9a-f]{64}$/;
const TARGET_MAX = 24;

const on = (target) => (MARKET_ID.test(target ?? '') ? marketLink(target) : String(target ?? '–').slice(0, TARGET_MAX));

/** Who did what: append-only. */
export const audit = (signal) => [
  freshList({
    title: 'Audit log', path: '/api/admin/audit', query: { limit: 100 }, rows: (answer) => answer.audit, empty: 'Nothing has been done yet.',
    heads: ['When', 'Who', 'Action', 'Result', ['On', 'whole'], ['Reason', 'whole']],
    row: (entry) => h('tr', {},
      cell(h('span.nowrap', {}, date(entry.at))),
      cell(h('span.mono', { title: entry.wallet }, address(entry.wallet))),
      cell(h('strong', {}, words(entry.action)), entry.params?.action ? `: ${entry.params.action}` : null),
      cell(badge(String(entry.result), entry.result === 'ok' ? 'ok' : '')),
      cell(on(entry.target)),
      cell(entry.reason ?? '–')),
  }, signal).element,
];
