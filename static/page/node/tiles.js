import { app } from '../app.js';
import { spark } from '../charts/spark.js';
import { h, put, say } from '../dom.js';
import { follow } from '../follow.js';
import { count, date, duration, percent, short, size } from '../format.js';
import { difference, readMetrics } from '../metrics.js';

/** The figures at the top, each with a line of where it has been. */

const METRICS_FIRST_MS = 1_000;
const METRICS_EVERY_MS = 4_000;
const KEPT = 90;
const NO_KEY = 'Metrics need a service key';

const TITLES = {
  slot: 'Chain slot',
  lag: 'Indexing lag',
  feed: 'Feed messages',
  connections: 'Connections',
  rate: 'Requests',
  latency: 'Latency p99',
  database: 'Database',
  loop: 'Event loop lag',
};

/** What the counters said and what they amounted to; they outlive the view, so that its charts do not begin anew. */
const readings = [];
const traffic = [];
const sizes = [];

/** @param {AbortSignal} signal */
export function tiles(signal) {
  const element = h('div.tiles', { role: 'group', 'aria-label': 'Figures' });
  const made = Object.fromEntries(Object.entries(TITLES).map(([key, title]) => {
    const tile = { figure: h('p.figure', {}, '–'), under: h('p.under', {}, ' '), chart: h('div'), title };
    element.append(h('div.tile', { 'data-tile': key }, h('h2.tile-name', {}, title), tile.figure, tile.under, tile.chart));
    return [key, tile];
  }));
  app.watch('status', signal, () => app.status && drawStatus(made, app.status));
  if (traffic.length) drawTraffic(made);
  followTraffic(made, signal);
  return { element, drawDatabase: (answer) => drawDatabase(made.database, answer) };
}

function setTile(tile, figure, unit, under, values, unitOfValues = unit) {
  put(tile.figure, figure, unit ? h('small', {}, ` ${unit}`) : null);
  say(tile.under, under);
  const known = values.filter((value) => value !== null);
  const range = known.length ? `between ${short(Math.min(...known))} and ${short(Math.max(...known))} ${unitOfValues}` : 'nothing yet';
  put(tile.chart, spark(known, `${tile.title}, last minutes: ${range}`));
}

// From /status

/** Differences between neighbours per second. */
function rates(samples, value) {
  return samples.slice(1).map((each, i) => Math.max(0, ((value(each) - value(samples[i])) * 1000) / Math.max(1, each.at - samples[i].at)));
}

function drawStatus(made, status) {
  const { history } = app;
  const { slot, push, feed } = status;
  const messages = rates(history, ({ head }) => head);
  const slots = rates(history, ({ slot: each }) => each);
  setTile(made.slot, count(slot.chain), '', status.chain_time ? `at ${date(status.chain_time)}` : 'Chain not seen yet', slots, 'slots per second');
  setTile(made.lag, count(slot.lag), slot.lag === 1 ? 'slot' : 'slots', `Indexed up to ${count(slot.indexed)}`, history.map(({ lag }) => lag));
  setTile(made.feed, count(feed.head), '', `${short(messages.at(-1) ?? 0)} messages/s`, messages, 'messages per second');
  setTile(made.connections, count(push.websocket + push.sse), '', `${count(push.websocket)} WebSocket, ${count(push.sse)} SSE`, history.map(({ connections }) => connections));
}

// From /health/database

function drawDatabase(tile, { size_bytes: bytes, queue }) {
  if (bytes === undefined) return;
  sizes.push(bytes / 1024);
  sizes.splice(0, sizes.length - KEPT);
  const commits = traffic.at(-1)?.commitMs ?? null;
  setTile(tile, ...size(bytes), commits === null ? `${count(queue)} waiting to be written` : `Commits take ${milliseconds(commits)}`, sizes, 'KiB');
}

// From the differences of the counters under /metrics

function followTraffic(made, signal) {
  let wait = METRICS_FIRST_MS;
  const step = async (stop) => {
    const response = await fetch('/metrics', { signal: stop });
    if (!response.ok) return [made.rate, made.latency, made.loop].forEach((tile) => say(tile.under, NO_KEY));
    readings.push({ at: Date.now(), ...readMetrics(await response.text()) });
    readings.splice(0, readings.length - 2);
    if (readings.length < 2) return;
    traffic.push(difference(readings[0], readings[1]));
    traffic.splice(0, traffic.length - KEPT);
    drawTraffic(made);
  };
  follow(step, () => {
    const now = wait;
    wait = METRICS_EVERY_MS;
    return now;
  }, signal);
}

function drawTraffic(made) {
  const now = traffic[traffic.length - 1];
  const share = now.requests ? now.errors / now.requests : 0;
  setTile(made.rate, short(now.perSecond), '/s', `${short(now.requests)} in all, ${percent(share, share ? 2 : 0)} errors`, traffic.map(({ perSecond }) => perSecond), 'requests per second');
  const latency = now.p99Ms === null ? ['–', ''] : milliseconds(now.p99Ms).split(' ');
  setTile(made.latency, ...latency, now.p99Ms === null ? 'No requests just now' : '99 of 100 answers are faster', traffic.map(({ p99Ms }) => p99Ms), 'ms');
  setTile(made.loop, ...milliseconds(now.loopMs).split(' '), 'How late timers fire', traffic.map(({ loopMs }) => loopMs), 'ms');
}

const milliseconds = (value) => (value >= 10_000 ? duration(value / 1000) : `${value < 10 ? value.toFixed(1) : short(Math.round(value))} ms`);
