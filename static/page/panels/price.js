import { app } from '../app.js';
import { PriceChart } from '../charts/price.js';
import { h, put } from '../dom.js';
import { throttled } from '../follow.js';
import { bones, card, choice, failed } from '../parts/basics.js';

const POINTS = 1000;
const RELOAD_PAUSE_MS = 500;
const INTERVALS = [['1h', '1 h'], ['6h', '6 h'], ['1d', '1 d'], ['1w', '1 w'], ['max', 'All']];

/** The price chart; a trade adds its point at once. */
export function pricePanel(id, signal) {
  const chart = new PriceChart();
  const body = h('div.card-body.chart-body', {}, bones(6));
  let interval = 'max';
  const load = throttled(async () => {
    try {
      const { price_history: points } = await app.zmart.get(`/api/markets/${id}/price-history`, { interval, limit: POINTS }, { signal });
      if (!chart.element.isConnected) put(body, chart.element);
      chart.show(points.map(({ t, yes }) => ({ t, yes })), app.chainNowMs() / 1000);
    } catch (error) {
      if (!signal.aborted) put(body, failed(error, load));
    }
  }, RELOAD_PAUSE_MS);
  const tools = choice('Time span', INTERVALS, interval, (value) => {
    interval = value;
    load();
  });
  return { element: card('Price of YES', { tools }, body), load, receive: (type) => type === 'trade' && load() };
}
