import { h, put, s } from '../dom.js';
import { address, date, sol, units } from '../format.js';
import { readable } from './readable.js';

/** Order flow: each trade a bar, upwards where it pushes YES, downwards where it pushes NO, as high as what was paid. */

const HEIGHT = 112;
const MIDDLE = HEIGHT / 2;
const BAR_LEAST = 6;
const BAR_MOST = 22;
const GAP = 3;

/** Whether a trade pushes the price of YES up. */
export const pushesYes = (trade) => (trade.trade_type === 'buy') === (trade.outcome === 'YES');

export class FlowChart {
  /** @param {AbortSignal} signal */
  constructor(signal) {
    this.readout = h('p.chart-readout', { 'aria-hidden': 'true' });
    this.canvas = h('div.flow');
    this.element = h('div', {}, this.readout, this.canvas);
    /** @type {any[]} oldest first */ this.shown = [];
    this.trades = [];
    this.tell = readable(this.canvas, {
      label: 'Order flow, trade by trade',
      count: () => this.shown.length,
      text: (i) => sentence(this.shown[i]),
      show: (i) => this.#mark(i),
    });
    this.canvas.addEventListener('pointermove', (event) => this.#point(event));
    this.canvas.addEventListener('pointerleave', () => this.#mark(null));
    const observer = new ResizeObserver(() => this.#draw());
    observer.observe(this.canvas);
    signal.addEventListener('abort', () => observer.disconnect());
  }

  /** @param {any[]} trades newest first */
  show(trades) {
    this.trades = trades;
    this.#draw();
  }

  #draw() {
    const width = this.canvas.clientWidth;
    if (!width) return;
    this.shown = this.trades.slice(0, Math.floor(width / (BAR_LEAST + GAP))).reverse();
    this.step = Math.min(BAR_MOST + GAP, width / Math.max(1, this.shown.length));
    const most = Math.max(1, ...this.shown.map((trade) => Number(trade.cost)));
    this.bars = this.shown.map((trade, i) => {
      const up = pushesYes(trade);
      const height = Math.max(2, (Number(trade.cost) / most) * (MIDDLE - 4));
      return s('rect', { class: up ? 'flow-yes' : 'flow-no', x: i * this.step, y: up ? MIDDLE - 1 - height : MIDDLE + 1, width: this.step - GAP, height, rx: 2 });
    });
    put(this.canvas, s('svg', { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, 'aria-hidden': 'true' },
      s('line.chart-grid', { x1: 0, x2: width, y1: MIDDLE, y2: MIDDLE }), this.bars));
    this.#mark(null);
    this.tell();
  }

  #point(event) {
    const at = event.clientX - this.canvas.getBoundingClientRect().left;
    const i = Math.floor(at / this.step);
    this.#mark(i < this.shown.length ? i : null);
  }

  #mark(index) {
    for (const [i, bar] of (this.bars ?? []).entries()) bar.classList.toggle('faded', index !== null && i !== index);
    const [yes, no] = totals(this.shown);
    put(this.readout, index === null ? `Last ${this.shown.length}: ${sol(yes, 2)} towards YES, ${sol(no, 2)} towards NO` : sentence(this.shown[index]));
  }
}

const sentence = (trade) => `${trade.trade_type === 'buy' ? 'Bought' : 'Sold'} ${units(trade.shares, 2)} ${trade.outcome} for ${sol(trade.cost, 4)}, ${address(trade.trader)}, ${date(trade.block_time)}`;

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
