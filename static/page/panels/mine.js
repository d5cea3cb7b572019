import { app } from '../app.js';
import { h, put } from '../dom.js';
import { sol, units } from '../format.js';
import { card, worker } from '../parts/basics.js';
import { positionOf } from '../parts/position.js';
import { connection } from '../wallet/connection.js';
import { acting } from './act.js';

/** What the connected wallet holds of a market, and what that pays. */

const CHANGES = new Set(['trade', 'claims_enabled', 'position', 'market_state']);

export function minePanel(id, signal, { onPosition }) {
  const body = h('div.card-body.stack-s');
  const element = card('Your position', {}, body);
  element.hidden = true;
  let market = null;
  const load = async () => {
    const address = connection.current?.address;
    const found = address ? await positionOf(address, id, signal).catch(() => null) : null;
    if (signal.aborted || address !== connection.current?.address) return;
    element.hidden = !found;
    onPosition(found);
    put(body, found ? draw(found, market) : null);
  };
  connection.addEventListener('change', load, { signal });
  return {
    element,
    load,
    state: (now) => {
      market = now;
    },
    receive: (type) => CHANGES.has(type) && connection.current && load(),
  };
}

function draw(position, market) {
  const figure = (name, value, kind = '') => h('div', {}, h('span.muted.small', {}, name), h('strong', { class: kind }, value));
  return [
    h('div.figures-row', {},
      figure('YES shares', units(position.shares_yes, 2), 'yes'),
      figure('NO shares', units(position.shares_no, 2), 'no'),
      figure('Paid', sol(position.total_invested, 3)),
      ...ending(position, figure)),
    claimLine(position, market),
  ];
}

function ending(position, figure) {
  if (position.has_claimed) return [figure('Claimed', sol(position.claimed_amount, 3))];
  if (position.state_name === 'FINALIZED') return [figure('To claim', sol(position.claimable, 3))];
  return [
    figure('At market price', sol(position.current_value, 3)),
    figure('If YES wins', `≈ ${sol(position.payout_if_yes, 3)}`, 'yes'),
    figure('If NO wins', `≈ ${sol(position.payout_if_no, 3)}`, 'no'),
  ];
}

function claimLine(position, market) {
  if (position.state_name !== 'FINALIZED' || position.has_claimed) return null;
  const amount = BigInt(position.claimable);
  if (amount === 0n) return h('p.small.muted', {}, 'This position has nothing to claim.');
  if (amount > BigInt(position.payable_now)) {
    return h('p.notice.warn', {}, `The market’s account holds ${sol(position.payable_now, 3)}, less than this claim: the program would refuse it. Whoever claimed or withdrew before has taken the rest.`);
  }
  return h('div.actions', {}, worker(`Claim ${sol(position.claimable, 3)}`, () => acting(`/api/markets/${market.market_id}/claim`, {}, (built) => `claimed ${sol(built.amount)}`), { kind: 'primary', 'data-do': 'claim' }));
}
