import { h, s } from '../dom.js';
import { bps, count } from '../format.js';

/** A tally as a bar with its threshold marked. */

const WIDTH = 400;
const HEIGHT = 30;
const BAR_TOP = 10;
const BAR_HEIGHT = 12;

/** A dispute is agreed with by those who hold the outcome wrong. */
export const CHOICES = { like: 'approve', dislike: 'reject', agree: 'outcome wrong', disagree: 'outcome right' };

/**
 * @param {any} tally   of the contract: likes, dislikes, total, percentage_bps, threshold_bps, min_votes, threshold_met
 * @param {'proposal' | 'dispute'} kind
 */
export function voteBar(tally, kind) {
  const [yesWord, noWord] = kind === 'proposal' ? ['approve', 'reject'] : ['say wrong', 'say right'];
  const share = tally.percentage_bps / 10_000;
  const mark = (tally.threshold_bps / 10_000) * WIDTH;
  const label = `${tally.likes} ${yesWord}, ${tally.dislikes} ${noWord}: ${bps(tally.percentage_bps)}, threshold ${bps(tally.threshold_bps)}`;
  return h('div.votes', {},
    h('div.row-between.small', {},
      h('span', {}, h('strong.yes', {}, count(tally.likes)), ` ${yesWord}`),
      h('strong', {}, tally.total ? bps(tally.percentage_bps) : 'No votes yet'),
      h('span', {}, h('strong.no', {}, count(tally.dislikes)), ` ${noWord}`)),
    s('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
      s('rect', { class: tally.total ? 'votes-no' : 'votes-none', x: 0, y: BAR_TOP, width: WIDTH, height: BAR_HEIGHT }),
      tally.total ? s('rect.votes-yes', { x: 0, y: BAR_TOP, width: share * WIDTH, height: BAR_HEIGHT }) : null,
      s('line.votes-mark', { x1: mark, x2: mark, y1: BAR_TOP - 6, y2: BAR_TOP + BAR_HEIGHT + 6, 'vector-effect': 'non-scaling-stroke' })),
    h('p.small.muted', {}, condition(tally, kind)));
}

function condition(tally, kind) {
  const need = `Needs ${bps(tally.threshold_bps)}${kind === 'dispute' ? ' of the weight' : ''}`;
  const least = tally.min_votes ? ` and ${tally.min_votes} votes` : '';
  const verdict = tally.threshold_met ? 'met.' : tally.min_votes > tally.total ? `${tally.min_votes - tally.total} to go.` : 'not met.';
  return `${need}${least}: ${verdict}`;
}
