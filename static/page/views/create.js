import { app } from '../app.js';
import { show } from '../dialog.js';
import { h, put } from '../dom.js';
import { date, sol, units, words } from '../format.js';
import { toast } from '../notify.js';
import { createForm } from '../panels/create.js';
import { card, facts } from '../parts/basics.js';
import { connection } from '../wallet/connection.js';
import { openConnect } from '../wallet/menu.js';

/** A new market, by the connected wallet: first a draft that says what it costs, then the wallet's signature. */

/** What the market's account keeps for good: the rent of 488 bytes. */
const RENT_LAMPORTS = 4_287_360n;

export function mount({ root }) {
  put(root,
    h('div.view-head', {}, h('div', {}, h('h1', {}, 'New market'), h('p', {}, 'Ask a question that has a clear answer, and say how it is decided.'))),
    h('div.split', {},
      card('The market', {}, h('div.card-body', {}, createForm(draft, 'Look at the draft'))),
      card('What happens then', {}, h('ol.card-body.stack-s.counted', {},
        h('li', {}, 'Wallets vote on whether it should open. Enough approvals, and it is approved.'),
        h('li', {}, 'You open it for trading.'),
        h('li', {}, 'When the answer is known, anybody proposes the outcome with evidence, and it can be disputed.'),
        h('li', {}, 'Winners claim. You may then withdraw what is left in its account.')))));
}

async function draft(body) {
  if (!connection.current && !(await openConnect())) return;
  const client = await connection.session();
  const built = await client.post('/api/markets', body);
  const cost = RENT_LAMPORTS + BigInt(built.transaction.estimated_fee);
  const sure = await show('Your draft', h('div.stack-s', {},
    h('p', {}, h('strong', {}, built.draft.question)),
    built.draft.description ? h('p.small.described', {}, built.draft.description) : null,
    facts([
      ['Category', words(built.draft.category)],
      ['Ends', date(built.draft.end_date)],
      ['Depth', units(body.b_parameter)],
      ['Named liquidity', `${sol(body.initial_liquidity)}, not taken from you`],
      ['It costs you', `${sol(cost.toString(), 6)}, kept by its account for good`],
    ]),
    h('p.small.muted', {}, 'The text cannot be changed afterwards: its hash goes on chain.')), { action: 'Sign and create' });
  if (!sure) return;
  await client.sendBuilt(built);
  connection.readBalance().catch(() => {});
  toast('Your market exists', 'ok');
  app.know([{ market_id: built.market_id, title: built.draft.question }]);
  location.hash = `#/markets/${built.market_id}`;
}
