import { app } from '../app.js';
import { voteBar } from '../charts/votes.js';
import { panel } from '../dialog.js';
import { h, put, putIfChanged } from '../dom.js';
import { percent, sol, units } from '../format.js';
import { toast } from '../notify.js';
import { choice, worker } from '../parts/basics.js';
import { connection } from '../wallet/connection.js';
import { openConnect } from '../wallet/menu.js';
import { tradeForm } from './trade.js';

/** What the connected wallet can do with a market in its state: trade, vote, resolve, dispute, activate, withdraw, cancel. */

const NARROW = '(max-width: 900px)';

/** A wallet to act with; asks for one where there is none. */
async function ensure() {
  if (!connection.current && !(await openConnect())) throw new Error('Connect a wallet first.');
  return connection.require();
}

/**
 * Has something done by the connected wallet, and tells of it.
 * @param {string} path
 * @param {object} body
 * @param {(built: any) => string} text
 * @param {string | null} [since] the chain's clock has to pass it first
 */
export async function acting(path, body, text, since = null) {
  await ensure();
  if (since) await app.chainPasses(since);
  const { built } = await connection.act(path, body);
  toast(`You ${text(built)}`, 'ok');
}

const trader = {
  address: () => connection.current?.address ?? null,
  lamports: () => connection.lamports,
  connect: openConnect,
  act: acting,
};

/**
 * The box beside the price, and the bar that opens it on a phone.
 * @param {string} id
 * @param {AbortSignal} signal
 */
export function actBox(id, signal) {
  const title = h('h2');
  const body = h('div.card-body.stack-s');
  const element = h('section.card.act-box', { 'aria-label': 'What you can do' }, h('div.card-head', {}, title), body);
  const bar = h('div.act-bar', { role: 'group', 'aria-label': 'Trade or vote' });
  const box = { id, market: null, votes: null, position: null, voted: null, form: null };

  const draw = () => {
    if (!box.market) return;
    const { market } = box;
    const mine = connection.current?.address ?? null;
    putIfChanged(bar, [market.state, market.priceYes], () => barButtons(market, open));
    bar.hidden = !bar.childElementCount;
    if (market.state === 'ACTIVE') box.form?.update(market);
    // Forms stay as they are while somebody types: trading follows wallets by itself, the rest is drawn for each anew.
    const reason = market.state === 'ACTIVE' ? [market.state] : [market.state, mine, roles(market, mine), tallyKey(box), market.state === 'DISPUTED' && box.position?.shares_yes, box.voted, market.state === 'FINALIZED' && [market.current_liquidity, market.payable_now]];
    putIfChanged(body, reason, () => {
      box.form = null;
      const [heading, ...content] = STEPS[market.state](box, mine);
      put(title, heading);
      return content;
    });
  };
  const readVotes = async () => {
    const address = connection.current?.address;
    const [votes, mine] = await Promise.all([
      app.zmart.get(`/api/votes/${id}`, {}, { signal }),
      address ? app.zmart.get(`/api/users/${address}/votes`, { limit: 100 }, { signal }) : null,
    ]);
    Object.assign(box, { votes, voted: mine && votedIn(mine, id) });
    draw();
  };
  const load = () => void readVotes().catch(() => {});
  const open = (outcome) => {
    if (outcome) box.form?.choose(outcome);
    if (!matchMedia(NARROW).matches) return element.scrollIntoView({ block: 'center' });
    const place = document.createComment('');
    element.replaceWith(place);
    const sheet = panel(box.market.title, 'sheet');
    put(sheet.body, element);
    sheet.closed.then(() => place.replaceWith(element));
  };
  connection.addEventListener('change', () => {
    load();
    box.form?.readPosition();
  }, { signal });
  return {
    element,
    bar,
    load,
    state: (market) => {
      box.market = market;
      draw();
    },
    position: (found) => {
      box.position = found;
      draw();
    },
    receive: (type) => {
      if (type === 'vote' || type === 'voting_progress') load();
      if (type === 'trade') box.form?.refresh();
    },
  };
}

const votedIn = ({ proposal_votes: proposal, dispute_votes: dispute }, id) => ({
  proposal: proposal.find((vote) => vote.market_id === id)?.choice,
  dispute: dispute.find((vote) => vote.market_id === id)?.choice,
});

const roles = (market, mine) => [mine === market.creator, mine !== null && mine === app.protocol?.admin];

function tallyKey({ market, votes }) {
  if (market.state === 'PROPOSED') return votes?.proposal_votes;
  return market.state === 'DISPUTED' ? votes?.dispute_votes : null;
}

const BAR_WORDS = { PROPOSED: 'Vote on this proposal', APPROVED: 'Waiting for activation', RESOLVING: 'Accept or dispute', DISPUTED: 'Vote on the dispute', FINALIZED: 'Claim' };

function barButtons(market, open) {
  if (market.state === 'ACTIVE') {
    return [['YES', market.priceYes], ['NO', market.priceNo]].map(([name, price]) =>
      h('button.button', { type: 'button', class: name === 'YES' ? 'fill-yes' : 'fill-no', 'data-do': `bar-${name}`, 'data-key': `bar-${name}`, onclick: () => open(name) }, `Buy ${name} `, h('strong', {}, percent(price, 0))));
  }
  const text = BAR_WORDS[market.state];
  return text ? h('button.button.primary', { type: 'button', 'data-do': 'bar-open', 'data-key': 'bar-open', onclick: () => open(null) }, text) : null;
}

// The states

function proposed(box, mine) {
  const { market, votes, voted } = box;
  return [
    'Should this market open?',
    h('p.small.muted', {}, 'Any wallet votes once, free of charge. When enough approve, it can be opened for trading.'),
    votes ? voteBar(votes.proposal_votes, 'proposal') : null,
    voted?.proposal ? h('p.notice', {}, `You voted to ${voted.proposal === 'like' ? 'approve' : 'reject'} it.`) : voteButtons(box, 'proposal', [['like', 'Approve', 'yes'], ['dislike', 'Reject', 'no']]),
    cancelling(market, mine),
  ];
}

function disputed(box) {
  const { market, votes, voted, position } = box;
  const weight = BigInt(position?.shares_yes ?? 0) + BigInt(position?.shares_no ?? 0);
  const holds = weight > 0n;
  return [
    `Was ${market.proposed_outcome_name} right?`,
    h('p.small.muted', {}, connection.current && !holds ? 'Only wallets that hold shares of this market vote here. Yours holds none.' : `Those who hold shares vote, with the weight of their shares.${holds ? ` Yours: ${units(weight.toString(), 2)}.` : ''}`),
    votes ? voteBar(votes.dispute_votes, 'dispute') : null,
    voted?.dispute
      ? h('p.notice', {}, `You voted: the outcome is ${voted.dispute === 'agree' ? 'wrong' : 'right'}.`)
      : voteButtons(box, 'dispute', [['disagree', `${market.proposed_outcome_name} is right`, 'yes'], ['agree', `${market.proposed_outcome_name} is wrong`, 'no']], connection.current !== null && !holds),
  ];
}

function voteButtons(box, kind, options, disabled = false) {
  const onChain = /** @type {HTMLInputElement} */ (h('input', { type: 'checkbox', name: 'on_chain' }));
  const vote = async (value) => {
    await ensure();
    const path = `/api/votes/${kind}`;
    const body = { market_id: box.id, vote: value };
    if (onChain.checked) await connection.act(path, { ...body, on_chain: true });
    else await (await connection.session()).post(path, body);
    toast('Your vote counts', 'ok');
    box.voted = { ...box.voted, [kind]: value };
  };
  return [
    h('div.actions.even', {}, options.map(([value, label, kindOf]) => worker(label, () => vote(value), { kind: kindOf, 'data-do': value, disabled }))),
    h('label.check.small.muted', {}, onChain, 'as a transaction of its own, on chain (costs a fee)'),
  ];
}

function approved(box, mine) {
  const { market } = box;
  const may = mine !== null && (mine === market.creator || mine === app.protocol?.admin);
  return [
    'Approved, not open yet',
    h('p.small.muted', {}, may ? 'Opening it lets everybody trade.' : 'Its creator opens it for trading.'),
    may ? h('div.actions', {}, worker('Open for trading', () => acting(`/api/markets/${box.id}/activate`, {}, () => 'opened the market'), { kind: 'primary', 'data-do': 'activate' })) : null,
    cancelling(market, mine),
  ];
}

function cancelling(market, mine) {
  if (mine === null || mine !== app.protocol?.admin) return null;
  return h('div.actions', {}, worker('Cancel this market', () => acting(`/api/markets/${market.market_id}/cancel`, {}, () => 'cancelled the market'), { kind: 'quiet', 'data-do': 'cancel' }));
}

function active(box) {
  box.form = tradeForm(box.market, trader);
  return ['Trade', box.form.element, h('details.resolve', {}, h('summary.small', {}, 'The answer is known? Propose the outcome'), resolveForm(box))];
}

function resolveForm({ id, market }) {
  let outcome = 'YES';
  const evidence = /** @type {HTMLTextAreaElement} */ (h('textarea.input', { name: 'evidence', maxlength: 10_000, placeholder: 'What shows it, with sources.' }));
  return h('div.stack-s', {},
    h('p.small.muted', {}, 'Anybody may. It closes trading for good; others then have time to dispute it.'),
    choice('Proposed outcome', [['YES', 'YES'], ['NO', 'NO']], outcome, (value) => {
      outcome = value;
    }),
    h('label.field', {}, h('span', {}, 'Evidence'), evidence),
    h('div.actions', {}, worker('Propose this outcome', () => {
      if (!evidence.value.trim()) throw new Error('Say what shows the outcome: those who may dispute it read your evidence.');
      return acting(`/api/markets/${id}/resolve`, { outcome, evidence: evidence.value }, () => `proposed the outcome ${outcome}`, market.activated_at);
    }, { 'data-do': 'resolve' })));
}

function resolving(box) {
  const { market, id } = box;
  const reason = /** @type {HTMLTextAreaElement} */ (h('textarea.input', { name: 'reason', maxlength: 900, placeholder: 'What is wrong with it, with sources.' }));
  const open = Date.parse(market.dispute_deadline) > app.chainNowMs();
  return [
    `Is ${market.proposed_outcome_name} right?`,
    h('p.small.muted', {}, open ? 'Undisputed, it becomes final when the time is over. Whoever disputes it has the holders of shares vote.' : 'The time for disputing is over; the node makes the outcome final.'),
    open ? [h('label.field', {}, h('span', {}, 'Why it is wrong'), reason),
      h('div.actions', {}, worker('Dispute the outcome', async () => {
        if (!reason.value.trim()) throw new Error('Say why the outcome is wrong: those who vote read it.');
        await acting(`/api/markets/${id}/dispute`, {}, () => 'disputed the outcome', market.resolution_proposed_at);
        await (await connection.session()).post(`/api/discussions/${id}`, { content: `Dispute: ${reason.value.trim()}` });
      }, { kind: 'no', 'data-do': 'dispute' }))] : null,
  ];
}

function finalized(box, mine) {
  const { market, position, id } = box;
  const withdraws = mine === market.creator && BigInt(market.current_liquidity) > 0n;
  const text = position ? 'Your position and what it pays stand below.' : mine ? 'This wallet held no shares of it.' : 'Connect the wallet that holds shares to claim.';
  return [
    `The outcome is ${market.final_outcome_name}`,
    h('p.small.muted', {}, text),
    mine ? null : h('div.actions', {}, worker('Connect a wallet', () => openConnect(), { kind: 'primary', 'data-do': 'act-connect' })),
    withdraws ? [h('p.small.muted', {}, `As its creator you may withdraw what the market’s account holds. Winners who have not claimed by then get nothing: ${sol(market.payable_now, 3)} can be claimed now.`),
      h('div.actions', {}, worker('Withdraw the liquidity', () => acting(`/api/markets/${id}/withdraw`, {}, (built) => `withdrew ${sol(built.amount)}`), { 'data-do': 'withdraw' }))] : null,
  ];
}

const cancelled = () => ['Cancelled', h('p.small.muted', {}, 'It was never opened, so nobody traded and nobody has lost anything.')];

const STEPS = { PROPOSED: proposed, APPROVED: approved, ACTIVE: active, RESOLVING: resolving, DISPUTED: disputed, FINALIZED: finalized, CANCELLED: cancelled };
