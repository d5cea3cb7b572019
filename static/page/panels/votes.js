import { app } from '../app.js';
import { CHOICES, voteBar } from '../charts/votes.js';
import { h, put, putIfChanged } from '../dom.js';
import { since } from '../format.js';
import { badge, bones, card } from '../parts/basics.js';
import { walletLink } from '../parts/explorer.js';
import { loader } from '../parts/loading.js';

const RELOAD_PAUSE_MS = 2_000;
const LISTED = 6;

/** Tallies with their thresholds, and who voted last. */
export function votesPanel(id, signal) {
  const bars = h('div.stack', {}, bones(3));
  const latest = h('ul.stack-s.small');
  let market = null;

  const load = loader({ body: bars, pauseMs: RELOAD_PAUSE_MS, signal }, async () => {
    const type = market?.state === 'DISPUTED' || market?.was_disputed ? 'dispute' : 'proposal';
    const [tallies, page] = await Promise.all([
      app.zmart.get(`/api/votes/${id}`, {}, { signal }),
      app.zmart.get(`/api/markets/${id}/votes`, { type, limit: LISTED }, { signal }),
    ]);
    putIfChanged(bars, [tallies, market?.state], () => drawBars(tallies, market));
    put(latest, page.votes.map(voteLine));
  });
  return {
    element: card('Votes', {}, h('div.card-body.stack', {}, bars, latest)),
    load,
    state: (now) => {
      market = now;
    },
    receive: (type) => (type === 'vote' || type === 'voting_progress') && load(),
  };
}

function drawBars({ proposal_votes: proposal, dispute_votes: dispute }, market) {
  // The box in which one votes shows the tally that is open.
  const disputed = dispute.total > 0 && market?.state !== 'DISPUTED';
  return [
    market?.state === 'PROPOSED' ? null : h('div.stack-s', {}, h('h3', {}, 'Proposal'), voteBar(proposal, 'proposal')),
    disputed ? h('div.stack-s', {}, h('h3', {}, 'Dispute'), voteBar(dispute, 'dispute')) : null,
  ];
}

function voteLine(vote) {
  const positive = vote.choice === 'like' || vote.choice === 'disagree';
  return h('li.row-between', {},
    h('span.row', {}, badge(CHOICES[vote.choice], positive ? 'yes' : 'no'), walletLink(vote.user_wallet)),
    h('span.muted', {}, `${vote.source === 'chain' ? 'on chain, ' : ''}${since(vote.created_at, app.chainNowMs())}`));
}
