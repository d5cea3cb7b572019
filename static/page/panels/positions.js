import { app } from '../app.js';
import { h, put } from '../dom.js';
import { count, sol, units } from '../format.js';
import { badge, blank, bones, card, cell, copyable, endCell, table } from '../parts/basics.js';
import { loader } from '../parts/loading.js';

const RELOAD_PAUSE_MS = 5_000;
const LISTED = 20;
const CHANGES = new Set(['trade', 'claims_enabled', 'position']);

/** Who holds what, the largest first. */
export function positionsPanel(id, signal) {
  const note = h('span');
  const body = h('div', {}, bones(3));
  const load = loader({ body: body, pauseMs: RELOAD_PAUSE_MS, signal }, async () => {
    const page = await app.zmart.get(`/api/markets/${id}/positions`, { limit: LISTED }, { signal });
    put(note, page.total_count ? `${count(page.total_count)} ${page.total_count === 1 ? 'holder' : 'holders'}` : '');
    put(body, page.positions.length ? draw(page.positions) : blank('Nobody holds shares.'));
  });
  return { element: card('Positions', { note }, body), load, receive: (type) => CHANGES.has(type) && load() };
}

function draw(positions) {
  return table('Positions', ['Wallet', ['YES', 'end'], ['NO', 'end'], ['Value', 'end'], ['Profit', 'end'], ''], positions.map((each) => h('tr', {},
    cell(copyable(each.user_wallet)),
    endCell(units(each.shares_yes, 2)),
    endCell(units(each.shares_no, 2)),
    endCell(sol(each.current_value)),
    endCell(h('span', { class: each.profit_loss.startsWith('-') ? 'no' : 'yes' }, sol(each.profit_loss))),
    endCell(claim(each)))));
}

function claim(position) {
  if (position.has_claimed) return badge('claimed');
  return BigInt(position.claimable ?? 0) > 0n ? badge('can claim', 'ok') : null;
}
