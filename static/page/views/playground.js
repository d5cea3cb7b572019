import { BurnerWallet } from '../../zmart.js';
import { app } from '../app.js';
import { h, put, putIfChanged, say } from '../dom.js';
import { throttled } from '../follow.js';
import { words } from '../format.js';
import { announce, complain } from '../notify.js';
import { blank, bones, card, failed, stateBadge, worker } from '../parts/basics.js';
import { lifecycle, timeLeft } from '../parts/lifecycle.js';
import { prices } from '../parts/prices.js';
import { burners } from '../wallet/burners.js';
import { clockCard } from '../play/clock.js';
import { createForm } from '../panels/create.js';
import { ActionLog } from '../play/log.js';
import { stepOf, transact } from '../play/steps.js';
import { readBalances, walletsCard } from '../play/wallets.js';

/** A market's whole life by clicking, on networks where money is play money. */

const RELOAD_PAUSE_MS = 500;
const LISTED = 50;

/** Outlive the view, so that the log and the sessions are there when one comes back. */
const shared = { burners, log: new ActionLog(), loaded: false };
shared.burners.addEventListener('signedin', (event) => shared.log.add(`${/** @type {CustomEvent} */ (event).detail.name} signed in`));

export async function mount({ root, params, signal }) {
  put(root, h('div.view-head', {}, h('div', {}, h('h1', {}, 'Playground'), h('p', {}, 'Take a market through its whole life: create, vote, trade, resolve, dispute, claim.'))));
  if (!BurnerWallet.isSupported) return void root.append(h('p.notice.warn', {}, 'This browser signs on https and on localhost only. Open the page there.'));
  if (!shared.loaded) {
    shared.loaded = true;
    await shared.burners.load().catch(complain);
  }
  if (app.protocol === null) await app.refreshProtocol();
  if (signal.aborted) return;
  if (app.cluster !== undefined && !app.isPlayable) {
    return void root.append(h('section.card', {}, blank('There is nothing to play with here.', `This node works on ${app.cluster}, where money is real. The playground opens on the devnet and on a local network.`)));
  }
  const stage = h('div', {}, bones(5));
  const wallets = walletsCard(shared.burners, shared.log, signal);
  // On a narrow screen the wallets come first: nothing goes without one.
  wallets.classList.add('early');
  const side = h('div.stack', {}, wallets, app.devnet ? clockCard(shared.log, signal) : null, shared.log.element);
  const chooser = h('select.input', { name: 'market', onchange: (event) => {
    location.hash = event.target.value ? `#/playground/${event.target.value}` : '#/playground';
  } });
  const picker = h('label.field', {}, h('span', {}, 'Market'), chooser);
  root.append(h('div.split.play', {}, h('div.stack', {}, h('section.card', { 'aria-label': 'Choose a market' }, h('div.card-body', {}, picker)), stage), side));
  fillChooser(chooser, params.id, signal).catch(() => {});
  if (params.id) playMarket(stage, params.id, signal, (market) => nameOption(chooser, market));
  else put(stage, card('A new market', {}, h('div.card-body', {}, createForm(create))));
}

async function fillChooser(chooser, current, signal) {
  put(chooser, h('option', { value: '' }, 'New market'));
  const { markets } = await app.zmart.get('/api/markets', { limit: LISTED }, { signal });
  const named = new Set([...chooser.options].map(({ value }) => value));
  for (const market of markets.filter(({ id }) => !named.has(id))) {
    chooser.append(h('option', { value: market.id, selected: market.id === current || market.on_chain_address === current }, optionText(market)));
  }
}

const optionText = (market) => `${words(market.state)}: ${market.title}`;

/** Keeps the chosen entry's text up to date with the market's state; one that is not among the newest joins them. */
function nameOption(chooser, market) {
  const option = [...chooser.options].find(({ value }) => value === market.id);
  if (option) return say(option, optionText(market));
  if (chooser.options.length) chooser.append(h('option', { value: market.id, selected: true }, optionText(market)));
}

async function create(body) {
  const burner = shared.burners.active;
  if (!burner) throw new Error('Create a wallet first: it pays for the market’s account.');
  const play = { log: shared.log, burners: shared.burners, done: 0, how: 'text', reload: async () => {} };
  const built = await transact(play, burner, '/api/markets', body, () => `created “${body.question}”`);
  location.hash = `#/playground/${built.market_id}`;
}

function playMarket(stage, id, signal, onDraw) {
  const head = h('div.row');
  const title = h('h2.question-title');
  const numbers = h('div');
  const steps = h('div');
  const left = h('p.small.muted');
  const actions = h('div.stack');
  const play = { market: null, votes: null, burners: shared.burners, log: shared.log, done: 0, how: /** @type {'text' | 'chain'} */ ('text'), reload: async () => {} };
  let step = null;

  const draw = () => {
    const { market, votes } = play;
    say(title, market.title);
    onDraw(market);
    putIfChanged(head, market.state, () => [stateBadge(market.state), h('a.small', { href: `#/markets/${market.market_id}` }, 'Everything about it')]);
    putIfChanged(numbers, [market.priceYes, market.state, market.final_outcome_name], () => prices(market));
    putIfChanged(steps, [market.state, market.updated_at], () => lifecycle(market));
    // Forms stay as they are while somebody types; only another state or tally draws them anew.
    const reason = [market.state, votesKey(market, votes), market.state === 'FINALIZED' && [market.current_liquidity, play.done], shared.burners.list.map(({ name }) => name)];
    putIfChanged(actions, reason, () => {
      step = stepOf(play);
      return step.element;
    });
  };
  play.reload = async () => {
    const before = play.market?.state;
    const client = reader();
    [play.market, play.votes] = await Promise.all([client.get(`/api/markets/${id}`, {}, { signal }), client.get(`/api/votes/${id}`, {}, { signal })]);
    if (before && before !== play.market.state) announce(`The market is now ${words(play.market.state)}`);
    draw();
    readBalances(shared.burners).catch(() => {});
  };
  const reload = throttled(() => play.reload(), RELOAD_PAUSE_MS);
  const again = () => play.reload().then(() => put(stage, shell), (error) => {
    if (!signal.aborted) put(stage, h('section.card', {}, error.status === 404 ? blank('There is no such market.') : failed(error, again)));
  });
  const shell = h('div.stack', {},
    h('section.card', { 'aria-label': 'The market' }, h('div.card-body.stack', {}, h('div.stack-s', {}, head, title), h('div.row-between', {}, numbers, left), steps)),
    card('What you can do', {}, h('div.card-body.stack', {}, actions)),
    sayCard(id));
  again();
  app.live.listen({ channels: [`market:${id}`], onMessage: ({ data }) => {
    if (data?.market_id !== id && data?.on_chain_address !== id) return;
    reload();
    step?.refresh?.();
  }, onReset: reload }, signal);
  let acts = null;
  shared.burners.addEventListener('change', () => {
    if (!play.market) return;
    draw();
    const { active } = shared.burners;
    if (acts !== active) step?.acted?.();
    acts = active;
  }, { signal });
  const timer = setInterval(() => play.market && say(left, timeLeft(play.market, app.chainNowMs())), 1000);
  signal.addEventListener('abort', () => clearInterval(timer));
}

/** A signed-in wallet may ask more often than a stranger. */
const reader = () => (shared.burners.active?.client.session ? shared.burners.active.client : app.zmart);

/** What of the votes matters to the step that is shown. */
function votesKey(market, votes) {
  if (market.state === 'PROPOSED') return votes.proposal_votes;
  return market.state === 'DISPUTED' ? votes.dispute_votes : null;
}

function sayCard(id) {
  const text = h('textarea.input', { name: 'content', maxlength: 1000, 'aria-label': 'Your post', placeholder: 'Say something about this market.' });
  const post = worker('Post', async () => {
    const burner = shared.burners.active;
    if (!burner) throw new Error('Create a wallet first.');
    await (await shared.burners.session(burner)).post(`/api/discussions/${id}`, { content: text.value });
    shared.log.add(`${burner.name} posted`);
    text.value = '';
  }, { 'data-do': 'post' });
  return card('Discussion', { note: h('a', { href: `#/markets/${id}` }, 'Read it') }, h('div.card-body.stack-s', {}, text, h('div.actions', {}, post)));
}
