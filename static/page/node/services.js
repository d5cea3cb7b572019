import { app } from '../app.js';
import { h, put, putIfChanged } from '../dom.js';
import { follow } from '../follow.js';
import { count, short, since, size, words } from '../format.js';
import { badge, dot, facts } from '../parts/basics.js';

/** Each service: how it is, why, and its figures. */

const EVERY_MS = 5_000;
const KINDS = { ok: 'ok', degraded: 'warn', starting: 'warn', error: 'bad', disabled: 'off' };
const BADGES = { ok: 'ok', degraded: 'warn', error: 'bad' };
const PATHS = ['database', 'solana-rpc', 'event-indexer', 'vote-aggregator', 'market-monitor', 'websocket', 'ipfs'];
const NOT_FACTS = new Set(['status', 'service', 'version', 'timestamp', 'reason']);

/** The last answer of each; they outlive the view, which may be opened while the node is away. */
const answers = new Map();

/**
 * @param {AbortSignal} signal
 * @param {(answer: any) => void} onDatabase told what the database says of itself
 */
export function services(signal, onDatabase) {
  const items = PATHS.map((path) => serviceItem(path));
  const read = async (item, stop) => {
    // 503 is an answer too: it says what is wrong.
    const answer = await (await fetch(`/health/${item.path}`, { signal: stop })).json();
    answers.set(item.path, answer);
    drawService(item, answer);
    if (item.path === 'database') onDatabase(answer);
  };
  for (const item of items) {
    if (answers.has(item.path)) drawService(item, answers.get(item.path));
    else if (!app.reachable) drawService(item, { status: 'unknown' });
  }
  follow(async (stop) => {
    if (app.reachable) await Promise.all(items.map((item) => read(item, stop)));
  }, EVERY_MS, signal);
  return h('ul.services', {}, items.map(({ element }) => element));
}

function serviceItem(path) {
  const summary = h('summary', {}, dot('off'), h('span', {}, words(path)), badge('…'));
  const body = h('div.facts-body');
  const element = h('li', { 'data-service': path.replaceAll('-', '_') }, h('details', {}, summary, body));
  return { path, summary, body, element };
}

function drawService({ path, summary, body }, answer) {
  const { status, reason } = answer;
  putIfChanged(summary, [status, reason], () => [
    dot(KINDS[status]),
    h('span', {}, words(path), reason ? h('span.reason', {}, reason) : null),
    badge(status, BADGES[status])]);
  putIfChanged(body, { ...answer, timestamp: null }, () => {
    const numbers = Object.entries(answer).filter(([key, value]) => !NOT_FACTS.has(key) && value !== null && typeof value !== 'object');
    const pairs = numbers.map(([key, value]) => [title(key), shown(key, value)]);
    return facts(pairs.length ? pairs : [['State', status === 'disabled' ? 'not configured' : status]]);
  });
}

const NAMES = { disk_bytes: 'On disk, with its log', solana_core: 'solana-core' };

const title = (key) => NAMES[key] ?? words(key.replace(/_(bytes|ms|s|at)$/, ''));

function shown(key, value) {
  if (typeof value !== 'number') return /_at$/.test(key) ? since(String(value)) : words(value);
  if (/_bytes$/.test(key)) return size(value).join(' ');
  if (/_ms$/.test(key)) return `${short(value)} ms`;
  return Number.isInteger(value) ? count(value) : short(value);
}
