import { app } from '../app.js';
import { spark } from '../charts/spark.js';
import { h, put, putIfChanged, s, say } from '../dom.js';
import { follow } from '../follow.js';
import { count, date, duration, short, since, sol, words } from '../format.js';
import { difference, readMetrics } from '../metrics.js';
import { badge, blank, bones, card, cell, copyable, dot, endCell, facts, table } from '../parts/basics.js';

/** Whether the node is well, and what it is doing. Figures come from /status; services and traffic from their own routes. */

const SERVICES_EVERY_MS = 5_000;
const METRICS_EVERY_MS = 4_000;
const METRICS_KEPT = 45;
const KINDS = { ok: 'ok', degraded: 'warn', error: 'bad', disabled: 'off' };
const BREAKER_KINDS = { closed: 'ok', half_open: 'warn', open: 'bad' };
const STATES = ['PROPOSED', 'APPROVED', 'ACTIVE', 'RESOLVING', 'DISPUTED', 'FINALIZED', 'CANCELLED'];
const SERVICE_PATHS = { database: 'database', solana_rpc: 'solana-rpc', event_indexer: 'event-indexer', vote_aggregator: 'vote-aggregator', market_monitor: 'market-monitor', websocket: 'websocket', ipfs: 'ipfs' };
const NOT_FACTS = new Set(['status', 'service', 'version', 'timestamp', 'reason', 'message']);

export function mount({ root, signal }) {
  const parts = {
    health: h('div.health'),
    about: h('p.small'),
    tiles: h('div.tiles', { role: 'group', 'aria-label': 'Figures' }),
    services: h('ul.services'),
    markets: h('div.card-body.stack-s', {}, bones(2)),
    jobs: h('div', {}, bones()),
    breakers: h('div', {}, bones()),
    alerts: h('div', {}, bones()),
    rest: h('div.card-body', {}, bones()),
  };
  const tiles = makeTiles(parts.tiles);
  put(root,
    h('div.view-head', {}, h('div.stack-s', {}, parts.health, parts.about)),
    parts.tiles,
    h('div.split', {},
      h('div.stack', {},
        card('Markets by state', { note: h('a', { href: '#/markets' }, 'All markets') }, parts.markets),
        card('Jobs', {}, parts.jobs),
        card('Alerts', { note: h('a', { href: '#/admin' }, 'Act on them') }, parts.alerts)),
      h('div.stack', {},
        card('Services', {}, parts.services),
        card('Circuit breakers', {}, parts.breakers),
        card('Indexing', {}, parts.rest))));
  app.watch('status', signal, () => draw(parts, tiles));
  follow(async (stop) => drawServices(parts.services, await app.zmart.get('/health', {}, { signal: stop }).catch(unhealthy)), SERVICES_EVERY_MS, signal);
  traffic(tiles, signal);
}

/** 503 is an answer too: the body of an unhealthy node says what is wrong, but is no error of the contract's shape. */
function unhealthy(error) {
  if (error.status !== 503) throw error;
  return { services: { database: 'error' } };
}

// Figures

function makeTiles(root) {
  const names = [
    ['slot', 'Chain slot'],
    ['lag', 'Indexing lag'],
    ['rate', 'Requests'],
    ['latency', 'Latency p99'],
    ['feed', 'Feed'],
    ['connections', 'Connections'],
  ];
  return Object.fromEntries(names.map(([key, title]) => {
    const figure = h('p.figure', {}, '–');
    const chart = h('div');
    const under = h('p.under');
    root.append(h('div.tile', { 'data-tile': key }, h('h3', {}, title), figure, under, chart));
    return [key, { figure, chart, under, title }];
  }));
}

function setTile(tile, figure, unit, under, values) {
  put(tile.figure, figure, unit ? h('small', {}, ` ${unit}`) : null);
  say(tile.under, under);
  put(tile.chart, spark(values, `${tile.title}, last minutes`));
}

/** Differences between neighbours per second. */
function rates(samples, value) {
  return samples.slice(1).map((each, i) => Math.max(0, ((value(each) - value(samples[i])) * 1000) / Math.max(1, each.at - samples[i].at)));
}

function drawTiles(tiles, status) {
  const { history } = app;
  const { slot, push, feed } = status;
  const perSecond = rates(history, ({ slot: each }) => each);
  const messages = rates(history, ({ head }) => head);
  setTile(tiles.slot, count(slot.chain), '', status.chain_time ? `Chain time ${date(status.chain_time)}` : 'Chain not seen yet', perSecond);
  setTile(tiles.lag, count(slot.lag), slot.lag === 1 ? 'slot' : 'slots', `Indexed up to ${count(slot.indexed)}`, history.map(({ lag }) => lag));
  setTile(tiles.feed, count(feed.head), '', `${short(messages.at(-1) ?? 0)} messages/s`, messages);
  setTile(tiles.connections, count(push.websocket + push.sse), '', `${push.websocket} WebSocket, ${push.sse} SSE`, history.map(({ connections }) => connections));
}

/** Request rate and latency, from differences of the counters under /metrics. */
function traffic(tiles, signal) {
  const samples = [];
  const shown = [];
  follow(async (stop) => {
    const response = await fetch('/metrics', { signal: stop });
    if (!response.ok) {
      say(tiles.rate.under, 'Metrics need a service key');
      say(tiles.latency.under, 'Metrics need a service key');
      return;
    }
    samples.push({ at: Date.now(), ...readMetrics(await response.text()) });
    if (samples.length < 2) return;
    const now = difference(samples.at(-2), samples.at(-1));
    shown.push(now);
    shown.splice(0, shown.length - METRICS_KEPT);
    samples.splice(0, samples.length - 2);
    setTile(tiles.rate, short(now.perSecond), '/s', `${count(now.requests)} in all`, shown.map(({ perSecond }) => perSecond));
    const latency = now.p99Ms === null ? ['–', ''] : [now.p99Ms < 10 ? now.p99Ms.toFixed(1) : short(now.p99Ms), 'ms'];
    setTile(tiles.latency, ...latency, now.commitMs === null ? 'No commits just now' : `Commits ${now.commitMs.toFixed(1)} ms`, shown.map(({ p99Ms }) => p99Ms ?? 0));
  }, METRICS_EVERY_MS, signal);
}

// Everything that /status says

function draw(parts, tiles) {
  const { status } = app;
  if (!app.reachable || !status) return drawHead(parts, status);
  drawHead(parts, status);
  drawTiles(tiles, status);
  putIfChanged(parts.markets, [status.markets, status.totals], () => markets(status));
  putIfChanged(parts.jobs, [status.jobs, Math.floor(Date.now() / 5000)], () => jobs(status.jobs));
  putIfChanged(parts.breakers, status.breakers, () => breakers(status.breakers));
  putIfChanged(parts.alerts, status.alerts, () => alerts(status.alerts));
  putIfChanged(parts.rest, [status.webhook, status.intents, status.keys, status.votes_pending], () => rest(status));
}

function drawHead(parts, status) {
  const health = app.reachable ? (status?.health ?? 'waiting') : 'unreachable';
  const kind = { healthy: 'ok', degraded: 'warn', unhealthy: 'bad', unreachable: 'bad' }[health] ?? 'off';
  const titles = { healthy: 'The node is healthy', degraded: 'The node works, but not all of it', unhealthy: 'The node is unhealthy', unreachable: 'The node does not answer', waiting: 'Asking the node…' };
  putIfChanged(parts.health, [health, status?.ready], () => [
    dot(kind), h('h1', {}, titles[health]), status && app.reachable && !status.ready ? badge('Not caught up yet', 'warn') : null]);
  if (!status) return;
  putIfChanged(parts.about, [status.program_id, Math.floor(status.uptime_seconds / 10), app.reachable], () => [
    `Version ${status.version} on ${status.cluster}, up ${duration(status.uptime_seconds)}. Program `, copyable(status.program_id)]);
}

function markets(status) {
  const total = Math.max(1, status.totals.markets);
  return [
    h('div.spread', { 'aria-hidden': 'true' }, spread(status.markets, total)),
    h('div.legend', {}, STATES.map((state) =>
      h('a', { href: `#/markets?state=${state}` }, h('span.dot', { class: `fill-${state.toLowerCase()}` }), words(state), h('b', {}, count(status.markets[state] ?? 0))))),
    h('p.small.muted', {}, `${count(status.totals.trades)} trades, ${count(status.totals.votes)} votes, ${count(status.totals.events)} events, ${count(status.totals.users)} wallets, ${sol(status.totals.total_volume, 1)} traded.`),
  ];
}

function spread(byState, total) {
  let x = 0;
  return s('svg', { viewBox: '0 0 1000 10', preserveAspectRatio: 'none' }, STATES.map((state) => {
    const width = ((byState[state] ?? 0) / total) * 1000;
    const bar = s('rect', { class: `fill-${state.toLowerCase()}`, x, width: Math.max(0, width - 2), height: 10 });
    x += width;
    return width ? bar : null;
  }));
}

function jobs(list) {
  if (!list.length) return blank('No jobs.');
  return table('Jobs', ['Job', 'State', 'Last run', 'Next run'], list.map((job) => h('tr', {},
    h('td', {}, h('strong', {}, words(job.name))),
    cell(jobState(job)),
    cell(job.last_finished_at ? since(job.last_finished_at) : h('span.muted', {}, 'never')),
    cell(job.paused ? h('span.muted', {}, '–') : since(job.next_run_at)))));
}

function jobState(job) {
  if (job.running) return badge('running', 'accent');
  if (job.paused) return badge('paused', 'warn');
  if (job.last_result === 'failed') return badge('failed', 'bad');
  return job.last_result ? badge(job.last_result, 'ok') : badge('waiting');
}

function breakers(list) {
  return h('ul.services', {}, list.map((each) => h('li', {}, h('div.row-between.plain', {},
    h('span.row', {}, dot(BREAKER_KINDS[each.state]), words(each.name)),
    each.state === 'closed' ? badge('closed', 'ok') : badge(`${words(each.state)}${each.open_until ? `, ${since(each.open_until)}` : ''}`, 'bad')))));
}

function alerts({ open, latest, by_severity: bySeverity }) {
  if (!open) return blank('No open alerts.', 'Whatever goes wrong appears here.');
  const counts = Object.entries(bySeverity).filter(([, number]) => number);
  return [
    h('p.row.padded', {}, counts.map(([severity, number]) => badge(`${number} ${words(severity).toLowerCase()}`, severityKind(severity)))),
    table('Latest alerts', ['Severity', 'Alert', 'Market', ['Opened', 'end']], latest.map((alert) => h('tr', {},
      cell(badge(words(alert.severity), severityKind(alert.severity))),
      cell(words(alert.alert_type)),
      cell(alert.market_id ? h('a.mono', { href: `#/markets/${alert.market_id}` }, alert.market_id.slice(0, 8)) : '–'),
      endCell(since(alert.opened_at))))),
  ];
}

const severityKind = (severity) => ({ CRITICAL: 'bad', HIGH: 'bad', MEDIUM: 'warn' })[severity] ?? '';

function rest(status) {
  const { webhook, intents, keys, votes_pending: pending } = status;
  return facts([
    ['Webhook deliveries', webhook.received ? `${count(webhook.received)}, last ${since(webhook.last_received_at)}` : 'none yet'],
    ['Waiting to be indexed', count(webhook.pending)],
    ['Dead letters', webhook.dead_letters ? h('a.bad', { href: '#/admin?tab=queue' }, count(webhook.dead_letters)) : '0'],
    ['Votes not yet on chain', `${count(pending.proposal)} proposal, ${count(pending.dispute)} dispute`],
    ['Own transactions', `${count(intents.pending)} under way, ${count(intents.failed)} failed`],
    ['Backend key', keys.backend_matches ? 'is the program’s authority' : h('span.bad', {}, 'is not the program’s authority')],
    ['Admin key', keys.admin_configured ? 'configured' : 'not configured'],
  ]);
}

// Services

function drawServices(list, health) {
  for (const [name, path] of Object.entries(SERVICE_PATHS)) {
    const state = health.services[name] ?? 'disabled';
    const item = list.querySelector(`[data-service="${name}"]`) ?? list.appendChild(serviceItem(name, path));
    putIfChanged(item.querySelector('summary'), state, () => [dot(KINDS[state]), words(name), badge(state, state === 'disabled' ? '' : KINDS[state])]);
    if (state === 'error' && item.dataset.seen !== 'error') item.querySelector('details').open = true;
    item.dataset.seen = state;
  }
}

/** Its numbers and reason are asked for when somebody opens it. */
function serviceItem(name, path) {
  const body = h('div');
  const details = h('details', { ontoggle: async () => {
    if (!details.open) return;
    const response = await fetch(`/health/${path}`).catch(() => null);
    const answer = await response?.json().catch(() => null);
    put(body, answer ? serviceFacts(answer) : h('p.blank', {}, 'No answer.'));
  } }, h('summary'), body);
  return h('li', { 'data-service': name }, details);
}

function serviceFacts(answer) {
  const numbers = Object.entries(answer).filter(([key, value]) => !NOT_FACTS.has(key) && value !== null && typeof value !== 'object');
  const reason = answer.reason ?? answer.message;
  const pairs = numbers.map(([key, value]) => [words(key), shown(key, value)]);
  return facts(reason ? [['Reason', reason], ...pairs] : pairs.length ? pairs : [['State', answer.status]]);
}

function shown(key, value) {
  if (typeof value === 'number' && /_bytes$/.test(key)) return `${short(value / 1024)} KiB`;
  if (typeof value === 'number') return short(value);
  return /_at$/.test(key) ? since(String(value)) : String(value);
}
