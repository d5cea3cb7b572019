import { app } from '../app.js';
import { CHOICES, voteBar } from '../charts/votes.js';
import { h, put } from '../dom.js';
import { duration, sol } from '../format.js';
import { choice, worker } from '../parts/basics.js';
import { deadlineOf } from '../parts/lifecycle.js';
import { voteOnce } from '../wallet/burners.js';
import { warpPast } from './clock.js';
import { tradeForm } from '../panels/trade.js';

/** What can be done with a market in each of its states. */

/**
 * @typedef {object} Play
 * @property {any} market
 * @property {any} votes                     tallies of both kinds
 * @property {import('../wallet/burners.js').Burners} burners
 * @property {import('./log.js').ActionLog} log
 * @property {number} done                   transactions so far
 * @property {'text' | 'chain'} how          whether votes are signed texts or transactions
 * @property {() => Promise<void>} reload
 */

/** The wallet that acts, or an error that says what is missing. */
function actor(play) {
  if (!play.burners.active) throw new Error('Create a wallet first.');
  return play.burners.active;
}

/** Has a transaction built, signs it with `burner`, sends it, and logs how it went. */
export async function transact(play, burner, path, body, text) {
  const client = await play.burners.session(burner);
  const { built, landed } = await client.act(path, body);
  play.done += 1;
  play.log.add(`${burner.name} ${typeof text === 'function' ? text(built) : text}`, landed?.signature ?? null);
  await play.reload();
  return built;
}

/** An action that the program takes only after the second in which the market entered its state. */
const button = (play, label, path, body, text, since, attributes = {}) =>
  worker(label, async () => {
    const burner = actor(play);
    await app.chainPasses(since);
    await transact(play, burner, path, body(), text);
  }, attributes);

const step = (title, text, ...more) => h('div.step', {}, h('h3', {}, title), text ? h('p', {}, text) : null, ...more);

/** A button that lets the devnet's time pass until the market's deadline. */
function waitButton(play, label) {
  const deadline = deadlineOf(play.market);
  if (!app.devnet || !deadline || deadline[1] <= app.chainNowMs()) return null;
  return worker(`${label} (${duration((deadline[1] - app.chainNowMs()) / 1000)})`, () => warpPast(deadline[1], play.log), { 'data-do': 'wait' });
}

const HOW_TEXTS = {
  text: 'A signed text: it costs nothing, and the node records the counts on chain.',
  chain: 'A transaction of its own: everybody can see the vote on chain.',
};

/** How votes are cast; the choice outlasts what is drawn. */
function howToVote(play) {
  const text = h('p.small.muted', {}, HOW_TEXTS[play.how]);
  return h('div.stack-xs', {},
    choice('How to vote', [['text', 'Signed text'], ['chain', 'On chain']], play.how, (value) => {
      play.how = /** @type {'text' | 'chain'} */ (value);
      put(text, HOW_TEXTS[play.how]);
    }),
    text);
}

/**
 * @param {'proposal' | 'dispute'} kind
 * @param {string} value
 */
async function vote(play, kind, value) {
  const burner = actor(play);
  const where = kind === 'dispute' ? ' on the dispute' : '';
  const body = { market_id: play.market.market_id, vote: value };
  const path = `/api/votes/${kind}`;
  if (play.how === 'chain') return void (await transact(play, burner, path, { ...body, on_chain: true }, `voted “${CHOICES[value]}”${where}, on chain`));
  await (await play.burners.session(burner)).post(path, body);
  play.log.add(`${burner.name} voted “${CHOICES[value]}”${where}`);
  await play.reload();
}

const voteButton = (play, kind, label, value, colour) => worker(label, () => vote(play, kind, value), { kind: colour, 'data-do': value });

function proposed(play) {
  const id = play.market.market_id;
  const tally = play.votes.proposal_votes;
  const missing = Math.max(1, (tally.min_votes || 1) - tally.total);
  const crowd = worker(`Let ${missing} new wallets approve it`, async () => {
    await Promise.all(Array.from({ length: missing }, () => voteOnce(id, 'like')));
    play.log.add(`${missing} new wallets voted to approve`);
    await play.reload();
  }, { 'data-do': 'crowd' });
  return step('Vote on the proposal', 'Any wallet may vote, once. When the threshold is met, the node records the counts on chain and the admin key approves the market.',
    voteBar(tally, 'proposal'),
    howToVote(play),
    h('div.actions', {}, voteButton(play, 'proposal', 'Approve', 'like', 'yes'), voteButton(play, 'proposal', 'Reject', 'dislike', 'no'), tally.threshold_met ? null : crowd),
    tally.threshold_met ? h('p.notice', {}, 'The threshold is met: the node is about to record it.') : null);
}

function approved(play) {
  const { market, burners } = play;
  const creator = burners.find(market.creator);
  const activate = worker(creator ? `Activate as ${creator.name}` : 'Activate', () => transact(play, creator, `/api/markets/${market.market_id}/activate`, {}, 'activated the market'),
    { kind: 'primary', disabled: !creator, 'data-do': 'activate' });
  return step('Activate it', 'Only its creator, or the protocol’s admin, may open it for trading.',
    h('div.actions', {}, activate), creator ? null : h('p.notice', {}, 'None of your wallets has created this market.'));
}

const LAMPORTS_PER_SOL = 1e9;
const lamportsOf = (burner) => (burner?.sol == null ? null : String(Math.floor(burner.sol * LAMPORTS_PER_SOL)));

function active(play) {
  const trade = tradeForm(play.market, {
    address: () => play.burners.active?.wallet.address ?? null,
    lamports: () => lamportsOf(play.burners.active),
    connect: () => Promise.reject(new Error('Create a wallet first.')),
    act: (path, body, text) => transact(play, actor(play), path, body, text),
  });
  return {
    element: [step('Trade', 'The quote is what the program will do, to the lamport.', trade.element), h('hr.rule'), resolveStep(play)],
    refresh: () => trade.refresh(),
    acted: () => trade.readPosition(),
  };
}

function resolveStep(play) {
  let outcome = 'YES';
  const evidence = h('textarea.input', { name: 'evidence', maxlength: 10000, placeholder: 'What shows it, with sources.' }, 'It happened as described.');
  return step('Resolve', 'Anybody may propose the outcome. Then others have time to dispute it.',
    choice('Proposed outcome', [['YES', 'YES'], ['NO', 'NO']], outcome, (value) => {
      outcome = value;
    }),
    h('label.field', {}, h('span', {}, 'Evidence'), evidence),
    h('div.actions', {}, button(play, 'Propose this outcome', `/api/markets/${play.market.market_id}/resolve`, () => ({ outcome, evidence: evidence.value }), () => `proposed the outcome ${outcome}`, play.market.activated_at, { 'data-do': 'resolve' })));
}

function resolving(play) {
  return step('Dispute, or wait', `The proposed outcome is ${play.market.proposed_outcome_name}. Undisputed, the node finalises it when the window closes.`,
    h('div.actions', {},
      button(play, 'Dispute it', `/api/markets/${play.market.market_id}/dispute`, () => ({}), 'disputed the outcome', play.market.resolution_proposed_at, { kind: 'no', 'data-do': 'dispute' }),
      waitButton(play, 'Let the window pass')));
}

function disputed(play) {
  return step('Vote on the dispute', `Holders vote with the weight of their shares: was ${play.market.proposed_outcome_name} right?`,
    voteBar(play.votes.dispute_votes, 'dispute'),
    howToVote(play),
    h('div.actions', {},
      voteButton(play, 'dispute', `${play.market.proposed_outcome_name} is right`, 'disagree', 'yes'), voteButton(play, 'dispute', `${play.market.proposed_outcome_name} is wrong`, 'agree', 'no'), waitButton(play, 'Let the vote end')));
}

function finalized(play) {
  const id = play.market.market_id;
  const rows = h('div.stack-s', {}, h('p.small.muted', {}, 'Looking for winnings…'));
  const element = step('Claim', `The outcome is ${play.market.final_outcome_name}. Winners claim; then the creator may withdraw the liquidity.`, rows);
  claimRows(play).then((found) => put(rows, found), (error) => put(rows, h('p.notice.bad', {}, error.message)));
  const creator = play.burners.find(play.market.creator);
  const withdraw = creator && BigInt(play.market.current_liquidity) > 0n
    ? h('div.actions', {}, worker(`Withdraw liquidity as ${creator.name}`, () => transact(play, creator, `/api/markets/${id}/withdraw`, {}, (built) => `withdrew ${sol(built.amount)}`), { 'data-do': 'withdraw' }))
    : null;
  return [element, withdraw];
}

async function claimRows(play) {
  const id = play.market.market_id;
  const { positions } = await app.zmart.get(`/api/markets/${id}/positions`, { limit: 100 });
  const mine = positions.map((position) => ({ position, burner: play.burners.find(position.user_wallet) })).filter(({ burner }) => burner);
  if (!mine.length) return h('p.notice', {}, 'None of your wallets holds a position here.');
  return mine.map(({ position, burner }) => h('div.row-between.small', {},
    h('span', {}, h('strong', {}, burner.name), ' ', claimText(position)),
    !position.has_claimed && BigInt(position.claimable) > 0n
      ? worker('Claim', () => transact(play, burner, `/api/markets/${id}/claim`, {}, (built) => `claimed ${sol(built.amount)}`), { kind: 'primary slim', 'data-do': 'claim', 'data-key': `claim-${position.user_wallet}` })
      : null));
}

function claimText({ has_claimed: claimed, claimed_amount: amount, claimable }) {
  if (claimed) return `claimed ${sol(amount)}`;
  return BigInt(claimable) > 0n ? `may claim ${sol(claimable)}` : 'has nothing to claim';
}

const cancelled = () => step('Nothing more happens here', 'The market was cancelled.');

const STEPS = { PROPOSED: proposed, APPROVED: approved, ACTIVE: active, RESOLVING: resolving, DISPUTED: disputed, FINALIZED: finalized, CANCELLED: cancelled };

/**
 * @param {Play} play
 * @returns {{element: any, refresh?: () => void}}
 */
export function stepOf(play) {
  const found = STEPS[play.market.state](play);
  return found.element ? found : { element: found };
}
