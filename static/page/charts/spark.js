import { s } from '../dom.js';

const WIDTH = 160;
const HEIGHT = 36;
const PAD = 2;

/**
 * A small line without axes: the figure beside it says the value, this says where it has been.
 * @param {number[]} values oldest first
 * @param {string} label for screen readers
 */
export function spark(values, label) {
  const chart = s('svg.spark', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label });
  if (values.length < 2) return chart;
  const low = Math.min(...values);
  const span = Math.max(...values) - low;
  const x = (i) => (i / (values.length - 1)) * WIDTH;
  // A line that does not move lies at the bottom, where quiet is.
  const y = (value) => (span ? HEIGHT - PAD - ((value - low) / span) * (HEIGHT - 2 * PAD) : HEIGHT - PAD);
  const line = values.map((value, i) => `${i ? 'L' : 'M'}${x(i).toFixed(1)} ${y(value).toFixed(1)}`).join('');
  chart.append(
    s('path.spark-area', { d: `${line}V${HEIGHT}H0Z` }),
    s('path.spark-line', { d: line, 'vector-effect': 'non-scaling-stroke' }),
  );
  return chart;
}
