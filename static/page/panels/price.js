import { app } from '../app.js';
import { PriceChart } from '../charts/price.js';
import { h, put } from '../dom.js';
import { joined } from '../follow.js';
import { complain } from '../notify.js';
import { blank, bones, card, choice } from '../parts/basics.js';
import { loader } from '../parts/loading.js';

const POINTS = 1000;
const RELOAD_PAUSE_MS = 3_000;
const REDRAW_EVERY_MS = 3_000;
const INTERVALS = [['1h', '1 h'], ['6h', '6 h'], ['1d', '1 d'], ['1w', '1 w'], ['max', 'All']];

/** The price chart; a trade adds its point at once. */
export function pricePanel(id, signal) {
  const chart = new PriceChart();
  const body = h('div.card-body.chart-body', {}, bones(6));
  let interval = 'max';
  let points = [];
  const draw = () => {
    if (!points.length) return put(body, blank(interval === 'max' ? 'No prices yet.' : 'No trades in this time.'));
    if (!chart.element.isConnected) put(body, chart.element);
    chart.show(points, app.chainNowMs() / 1000);
  };
  const soon = joined(draw, signal);
  const read = async () => {
    const answer = await app.zmart.get(`/api/markets/${id}/price-history`, { interval, limit: POINTS }, { signal });
    points = answer.price_history.map(({ t, yes }) => ({ t, yes }));
    draw();
  };
  const load = loader({ body, pauseMs: RELOAD_PAUSE_MS, signal }, read);
  // The line goes on to now, trades or none. A market of this second has its first price in the next.
  const timer = setInterval(() => (points.length ? draw() : interval === 'max' && load()), REDRAW_EVERY_MS);
  signal.addEventListener('abort', () => clearInterval(timer));
  const receive = (type, data) => {
    if (type !== 'trade') return;
    points = [...points, { t: Math.floor(Date.parse(data.block_time) / 1000), yes: data.priceYes * 100 }].slice(-POINTS);
    soon();
  };
  const tools = choice('Time span', INTERVALS, interval, (value) => {
    interval = value;
    read().catch(complain);
  });
  return { element: card('Price of YES', { tools }, body), load, receive };
}
