import { app } from '../app.js';
import { h, put } from '../dom.js';
import { count } from '../format.js';
import { blank, bones, card, table } from '../parts/basics.js';
import { loader } from '../parts/loading.js';
import { eventRow, MARKET_EVENT_HEADS } from '../parts/eventrow.js';

const RELOAD_PAUSE_MS = 5_000;
const LISTED = 10;
const CHANGES = new Set(['market_state', 'trade', 'voting_progress', 'claims_enabled']);

/** The program's events of this market, in the order of the chain. */
export function eventsPanel(id, signal) {
  const note = h('span');
  const body = h('div', {}, bones(3));
  const load = loader({ body: body, pauseMs: RELOAD_PAUSE_MS, signal }, async () => {
    const page = await app.zmart.get(`/api/markets/${id}/events`, { limit: LISTED }, { signal });
    put(note, h('a', { href: `#/events?tab=chain&q=${id}` }, `All ${count(page.total_count)}`));
    put(body, page.events.length ? table('Events', MARKET_EVENT_HEADS, page.events.map((event) => eventRow(event, false))) : blank('No events yet.'));
  });
  return { element: card('Events on chain', { note }, body), load, receive: (type) => CHANGES.has(type) && load() };
}
