import { app } from '../app.js';
import { h, put, putIfChanged } from '../dom.js';
import { follow } from '../follow.js';
import { blank, bones, card, failed, table } from '../parts/basics.js';

const EVERY_MS = 4_000;
/** What was set off just now has an effect by then. */
const EFFECT_MS = 700;

/**
 * A list of the admin API that keeps itself fresh.
 * @param {{title: string, path: string, query?: object, rows: (answer: any) => any[], heads: any[], row: (item: any, refresh: () => Promise<void>) => any, empty: string, kind?: string, tools?: any, note?: any}} what
 *   `query` may change from one reading to the next; `kind` as for a table
 * @param {AbortSignal} signal
 */
export function freshList({ title, path, query = {}, rows, heads, row, empty, kind = 'cards', tools = null, note = null }, signal) {
  const body = h('div', {}, bones(3));
  const refresh = async () => {
    const answer = await app.admin.get(path, query, { signal });
    const items = rows(answer);
    putIfChanged(body, items, () => (items.length ? table(title, heads, items.map((item) => row(item, refreshTwice)), kind) : blank(empty)));
  };
  const refreshTwice = async () => {
    await refresh();
    setTimeout(() => signal.aborted || refresh().catch(() => {}), EFFECT_MS);
  };
  follow(async () => {
    try {
      await refresh();
    } catch (error) {
      if (signal.aborted) return;
      // The session has ended, and its wallet cannot renew it by itself.
      if (error.status === 401) return app.setAdmin(null);
      put(body, failed(error, refresh));
      throw error;
    }
  }, EVERY_MS, signal);
  return { element: card(title, { tools, note }, body), refresh: refreshTwice };
}
