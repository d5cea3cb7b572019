import { app } from '../app.js';
import { h, put, say } from '../dom.js';
import { follow } from '../follow.js';
import { date, duration, words } from '../format.js';
import { card, worker } from '../parts/basics.js';

/** The devnet's clock. It only goes forward. */

const EVERY_MS = 5_000;
const TICK_MS = 1_000;
const HOUR_S = 3_600;
const DAY_S = 86_400;
/** The node leaves the chain a minute of grace after a deadline. */
const GRACE_S = 61;
const COMING = { finalize: 'an undisputed outcome becomes final', settle_dispute: 'a dispute is settled', proposal_review: 'a proposal goes to manual review' };

/**
 * @param {import('./log.js').ActionLog} log
 * @param {AbortSignal} signal
 */
export function clockCard(log, signal) {
  const figure = h('p.clock-figure');
  const next = h('div.stack-s');
  const tick = () => say(figure, date(new Date(app.chainNowMs()).toISOString()));
  const timer = setInterval(tick, TICK_MS);
  signal.addEventListener('abort', () => clearInterval(timer));
  tick();
  const refresh = async () => {
    const { next_transition: upcoming } = await app.zmart.get('/api/devnet', {}, { signal });
    put(next, upcoming ? upcomingLine(upcoming, log, refresh) : h('p.small.muted', {}, 'No market waits for time to pass.'));
  };
  follow(refresh, EVERY_MS, signal);
  const by = (label, seconds) => worker(label, async () => {
    await warp({ seconds }, log);
    await refresh();
  }, { kind: 'slim', 'data-do': `warp-${seconds}` });
  return card('The chain’s clock', {}, h('div.card-body.stack-s', {}, figure, h('div.actions', {}, by('+1 hour', HOUR_S), by('+1 day', DAY_S), by('+3 days', 3 * DAY_S)), next));
}

function upcomingLine(upcoming, log, refresh) {
  return [
    h('p.small.muted', {}, `In ${duration(upcoming.seconds_ahead)} ${COMING[upcoming.kind] ?? words(upcoming.kind)} in `, h('a', { href: `#/markets/${upcoming.market}` }, 'this market'), '.'),
    h('div.actions', {}, worker('Go there', async () => {
      await warp({ seconds: upcoming.seconds_ahead + GRACE_S }, log);
      await refresh();
    }, { kind: 'slim', 'data-key': 'next', 'data-do': 'warp-next' })),
  ];
}

/** @param {{seconds: number}} wish */
export async function warp(wish, log) {
  const { chain_time: now } = await app.zmart.post('/api/devnet/warp', wish);
  app.setChainTime(now);
  log.add(`The clock shows ${date(now)}`);
}

/** Moves the clock past a deadline, with the grace that the node waits. */
export const warpPast = (deadlineMs, log) => warp({ seconds: Math.max(1, Math.ceil((deadlineMs - app.chainNowMs()) / 1000)) + GRACE_S }, log);
