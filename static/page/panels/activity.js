import { app } from '../app.js';
import { h, put } from '../dom.js';
import { percent, plural, short, since } from '../format.js';
import { blank, bones, card } from '../parts/basics.js';
import { loader } from '../parts/loading.js';

/** What is going on in all markets: those most traded in the last 24 hours, and the latest actions. */

const TRENDING = 5;
const ACTIVITIES = 8;
/** The node itself answers anew only every 30 seconds. */
const TRENDING_PAUSE_MS = 30_000;
const ACTIVITY_PAUSE_MS = 5_000;
const CHANGES = new Set(['trade', 'market_state']);

/**
 * @param {string} title
 * @param {string} note
 * @param {{path: string, limit: number, pauseMs: number, rows: (answer: any) => any[], row: (item: any) => any, empty: string}} what
 * @param {AbortSignal} signal
 */
function panel(title, note, { path, limit, pauseMs, rows, row, empty }, signal) {
  const body = h('div', {}, bones(4));
  const load = loader({ body, pauseMs, signal }, async () => {
    const found = rows(await app.zmart.get(path, { limit }, { signal }));
    put(body, found.length ? h('ul.lines', {}, found.map(row)) : blank(empty));
  });
  return { element: card(title, { note }, body), load, receive: (type) => CHANGES.has(type) && load() };
}

export const trendingPanel = (signal) => panel('Trending', 'last 24 hours', {
  path: '/api/markets/trending', limit: TRENDING, pauseMs: TRENDING_PAUSE_MS, rows: ({ trending }) => trending.filter(({ uniqueTraders }) => uniqueTraders), row: trendingRow, empty: 'Nobody has traded lately.',
}, signal);

export const activityPanel = (signal) => panel('Activity', '', {
  path: '/api/markets/activity', limit: ACTIVITIES, pauseMs: ACTIVITY_PAUSE_MS, rows: ({ activities }) => activities, row: activityRow, empty: 'Nothing has happened yet.',
}, signal);

function trendingRow({ id, question, yesPrice, change24h, volume24h, uniqueTraders }) {
  const rises = change24h >= 0;
  return h('li', {},
    h('a.line-title', { href: `#/markets/${id}`, 'data-key': `trending-${id}` }, question),
    h('span.line-under', {},
      h('strong.yes', {}, percent(yesPrice, 0), ' YES'),
      h('span', { class: change24h ? (rises ? 'yes' : 'no') : '' }, `${change24h ? (rises ? '▲' : '▼') : ''} ${Math.abs(change24h).toFixed(1)} points`),
      h('span', {}, `${short(volume24h)} SOL`),
      h('span', {}, plural(uniqueTraders, 'trader'))));
}

function activityRow({ user, action, market, marketId, time, amount }) {
  return h('li', {},
    h('span.line-text', {}, h('span.mono', {}, user), ` ${action}${amount ? ` for ${amount}` : ''}`),
    h('span.line-under', {},
      h('a.line-market', { href: `#/markets/${marketId}` }, market),
      h('span.nowrap', { title: time }, since(time, app.chainNowMs()))));
}
