import { h, put, s } from '../dom.js';
import { sol } from '../format.js';

/** Order flow: each trade a bar, upwards where it pushes YES, downwards where it pushes NO, as high as what was paid. */

const HEIGHT = 112;
const MIDDLE = HEIGHT / 2;
const BAR = 10;
const GAP = 3;

/** Whether a trade pushes the price of YES up. */
export const pushesYes = (trade) => (trade.trade_type === 'buy') === (trade.outcome === 'YES');

/**
 * @param {HTMLElement} root
 * @param {any[]} trades newest first
 */
export function drawFlow(root, trades) {
  const width = root.clientWidth;
  if (!width) return;
  const shown = trades.slice(0, Math.floor(width / (BAR + GAP))).reverse();
  const most = Math.max(1, ...shown.map((trade) => Number(trade.cost)));
  const bars = shown.map((trade, i) => {
    const up = pushesYes(trade);
    const height = Math.max(2, (Number(trade.cost) / most) * (MIDDLE - 4));
    const x = width - (shown.length - i) * (BAR + GAP);
    return s('rect', { class: up ? 'flow-yes' : 'flow-no', x, y: up ? MIDDLE - 1 - height : MIDDLE + 1, width: BAR, height, rx: 2 },
      s('title', {}, `${trade.trade_type} ${trade.outcome}, ${sol(trade.cost)}`));
  });
  const [yes, no] = totals(shown);
  put(root, s('svg', { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: 'img', 'aria-label': `Last ${shown.length} trades: ${sol(yes)} towards YES, ${sol(no)} towards NO` },
    s('line.chart-grid', { x1: 0, x2: width, y1: MIDDLE, y2: MIDDLE }), bars));
}

function totals(trades) {
  let [yes, no] = [0n, 0n];
  for (const trade of trades) {
    if (pushesYes(trade)) yes += BigInt(trade.cost);
    else no += BigInt(trade.cost);
  }
  return [String(yes), String(no)];
}

export const flowLegend = () => h('p.row.small.muted', {},
  h('span.key.key-yes', {}, 'towards YES'), h('span.key.key-no', {}, 'towards NO'));
