import { h, put, s } from '../dom.js';
import { date, percent } from '../format.js';
import { readable } from './readable.js';

/** The price of YES over time, as steps: it stands still between two trades. */

const HEIGHT = 260;
const LEFT = 8;
const RIGHT = 44;
const TOP = 14;
const BOTTOM = 26;
/** Distances between grid lines, in points. */
const STEPS = [2, 5, 10, 20, 25];
const LINES_MAX = 5;

/** @typedef {{t: number, yes: number}} Point unix seconds, and 0–100 */

export class PriceChart {
  constructor() {
    this.readout = h('p.chart-readout', { 'aria-hidden': 'true' });
    this.canvas = h('div.chart-canvas');
    this.element = h('figure.chart', {}, this.readout, this.canvas);
    /** @type {Point[]} */ this.points = [];
    /** @type {[Point, number] | null} the point that is being read, and where on the line */ this.marked = null;
    this.tell = readable(this.canvas, {
      label: 'Price of YES over time',
      count: () => this.points.length,
      text: (i) => sentence(this.points[i]),
      show: (i) => (i === null ? this.#rest() : this.#mark(this.points[i])),
    });
    this.observer = new ResizeObserver(() => this.#draw());
    this.observer.observe(this.canvas);
    this.canvas.addEventListener('pointermove', (event) => this.#point(event));
    this.canvas.addEventListener('pointerleave', () => this.#rest());
  }

  /** @param {Point[]} points oldest first; the last one holds until now */
  show(points, nowS) {
    const last = points[points.length - 1];
    this.points = last ? [...points, { t: Math.max(nowS, last.t + 1), yes: last.yes }] : [];
    this.#draw();
    this.tell();
  }

  #draw() {
    const width = this.canvas.clientWidth;
    if (!width || this.points.length < 2) return;
    const { points } = this;
    const [low, high, step] = range(points.map(({ yes }) => yes));
    const from = points[0].t;
    const span = Math.max(1, points[points.length - 1].t - from);
    this.x = (t) => LEFT + ((t - from) / span) * (width - LEFT - RIGHT);
    this.y = (yes) => TOP + ((high - yes) / (high - low)) * (HEIGHT - TOP - BOTTOM);
    const last = points[points.length - 1].yes;
    this.marker = s('g.chart-marker', { visibility: 'hidden' }, s('line', { y1: TOP, y2: HEIGHT - BOTTOM }), s('circle', { r: 4 }));
    put(this.canvas,
      s('svg', { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, 'aria-hidden': 'true' },
        this.#grid(low, high, step, width),
        this.#times(from, span, width),
        s('path.chart-area', { d: `${this.#steps()}V${HEIGHT - BOTTOM}H${this.x(from)}Z` }),
        s('path.chart-line', { d: this.#steps() }),
        s('circle.chart-end', { cx: this.x(points[points.length - 1].t), cy: this.y(last), r: 3.5 }),
        this.marker));
    // Whoever is reading a value goes on reading it.
    if (this.marked) this.#mark(...this.marked);
    else this.#rest();
  }

  #steps() {
    return this.points.map(({ t, yes }, i) => (i ? `H${this.x(t).toFixed(1)}V${this.y(yes).toFixed(1)}` : `M${this.x(t).toFixed(1)} ${this.y(yes).toFixed(1)}`)).join('');
  }

  #grid(low, high, step, width) {
    return Array.from({ length: Math.round((high - low) / step) + 1 }, (_, i) => {
      const value = low + i * step;
      const y = this.y(value);
      return [
        s('line.chart-grid', { x1: LEFT, x2: width - RIGHT, y1: y, y2: y }),
        s('text', { x: width - RIGHT + 8, y: y + 4 }, `${Math.round(value)} %`),
      ];
    });
  }

  #times(from, span, width) {
    const count = width < 460 ? 2 : 4;
    const format = new Intl.DateTimeFormat('en', span > 2 * 86_400
      ? { day: 'numeric', month: 'short' }
      : { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
    return Array.from({ length: count }, (_, i) => {
      const t = from + (span * i) / (count - 1);
      const anchor = i === 0 ? 'start' : i === count - 1 ? 'end' : 'middle';
      return s('text', { x: this.x(t), y: HEIGHT - 6, 'text-anchor': anchor }, format.format(new Date(t * 1000)));
    });
  }

  #point(event) {
    if (!this.x || this.points.length < 2) return;
    const at = event.clientX - this.canvas.getBoundingClientRect().left;
    const point = this.points.findLast(({ t }) => this.x(t) <= at) ?? this.points[0];
    this.#mark(point, Math.min(Math.max(at, LEFT), this.x(this.points[this.points.length - 1].t)));
  }

  #mark(point, x = this.x(point.t)) {
    this.marked = [point, x];
    const [line, circle] = this.marker.children;
    this.marker.setAttribute('visibility', 'visible');
    for (const name of ['x1', 'x2']) line.setAttribute(name, x);
    circle.setAttribute('cx', x);
    circle.setAttribute('cy', this.y(point.yes));
    put(this.readout, sentence(point));
  }

  #rest() {
    this.marked = null;
    this.marker?.setAttribute('visibility', 'hidden');
    put(this.readout, 'Touch or point at the line, or use the arrow keys, to read it.');
  }
}

const sentence = ({ t, yes }) => `${percent(yes / 100)} YES since ${date(new Date(t * 1000).toISOString())}`;

/** Whole steps around all values, within 0–100: the lowest, the highest and the step. */
function range(values) {
  const lowest = Math.min(...values);
  const highest = Math.max(...values);
  const step = STEPS.find((each) => (highest - lowest) / each <= LINES_MAX - 1) ?? 25;
  const low = Math.max(0, Math.floor((lowest - step / 4) / step) * step);
  const high = Math.min(100, Math.ceil((highest + step / 4) / step) * step);
  return [low, Math.max(high, low + step), step];
}
