import { app } from '../app.js';
import { h, put } from '../dom.js';
import { fixed, plural } from '../format.js';
import { badge, blank, bones, card, cell, endCell, table } from '../parts/basics.js';
import { walletLink } from '../parts/explorer.js';
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
    put(note, page.total_count ? plural(page.total_count, 'holder') : '');
    put(body, page.positions.length ? draw(page.positions) : blank('Nobody holds shares.'));
  });
  return { element: card('Holders', { note }, body, h('p.card-foot', {}, 'Amounts in SOL. What a position pays is a share of what the market accounts for, before other claims and withdrawals.')), load, receive: (type) => CHANGES.has(type) && load() };
}

const HEADS = ['Wallet', ['YES', 'end'], ['NO', 'end'], ['Pays if YES', 'end'], ['Pays if NO', 'end'], ['At market price', 'end spare'], ['Claim', 'end spare']];

function draw(positions) {
  const claims = positions.some((each) => each.state_name === 'FINALIZED');
  const heads = claims ? HEADS : HEADS.slice(0, -1);
  return table('Holders', heads, positions.map((each) => h('tr', {},
    cell(walletLink(each.user_wallet)),
    endCell(fixed(each.shares_yes, 2)),
    endCell(fixed(each.shares_no, 2)),
    endCell(fixed(each.payout_if_yes, 2)),
    endCell(fixed(each.payout_if_no, 2)),
    endCell(fixed(each.current_value, 2)),
    claims ? endCell(claim(each)) : null)));
}

function claim(position) {
  if (position.has_claimed) return badge('claimed');
  return BigInt(position.claimable ?? 0) > 0n ? badge('can claim', 'ok') : h('span.muted', {}, 'nothing');
}
