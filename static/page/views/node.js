import { app } from '../app.js';
import { h, putIfChanged } from '../dom.js';
import { duration, time, words } from '../format.js';
import { alerts, breakers, jobs, markets, rest, versions } from '../node/overview.js';
import { services } from '../node/services.js';
import { tiles } from '../node/tiles.js';
import { badge, bones, card, copyable, dot } from '../parts/basics.js';

/** Whether the node is well, and what it is doing. Figures come from /status; services and traffic from their own routes. */

/** Times such as '5 s ago' are drawn anew that often. */
const TIMES_MS = 2_000;
const TITLES = { healthy: 'The node is healthy', degraded: 'The node works, but not all of it', unhealthy: 'The node is unhealthy', unreachable: 'The node does not answer', waiting: 'Asking the node…' };
const KINDS = { healthy: 'ok', degraded: 'warn', unhealthy: 'bad', unreachable: 'bad', waiting: 'off' };

export function mount({ root, signal }) {
  const parts = {
    health: h('div.health'),
    about: h('p.small', {}, ' '),
    unwell: h('ul.unwell.small', { 'aria-label': 'What is not well' }),
    markets: h('div.card-body.stack-s', {}, bones(2)),
    jobs: h('div', {}, bones(8)),
    breakers: h('div', {}, bones(5)),
    alerts: h('div', {}, bones(2)),
    rest: h('div.card-body', {}, bones(5)),
    versions: h('div.card-body', {}, bones(4)),
  };
  const figures = tiles(signal);
  const body = h('div.stack', {},
    figures.element,
    h('div.split', {},
      h('div.stack', {},
        card('Alerts', { note: h('a', { href: '#/admin?tab=alerts' }, 'Act on them') }, parts.alerts),
        card('Markets by state', { note: h('a', { href: '#/markets' }, 'All markets') }, parts.markets),
        card('Jobs', {}, parts.jobs)),
      h('div.stack', {},
        card('Services', {}, services(signal, figures.drawDatabase)),
        card('Circuit breakers', { note: 'pause what keeps failing' }, parts.breakers),
        card('Queues and keys', {}, parts.rest),
        card('Versions', {}, parts.versions))));
  root.append(
    h('div.view-head', {}, h('div.stack-s', {}, parts.health, parts.unwell, parts.about)),
    body);
  app.watch('status', signal, () => {
    draw(parts);
    // What is shown is old then, and looks it.
    body.classList.toggle('stale', !app.reachable);
  });
}

function draw(parts) {
  const { status } = app;
  drawHead(parts, status);
  // While the node is away, the last that it said stands.
  if (!status) return;
  const now = Math.floor(Date.now() / TIMES_MS);
  putIfChanged(parts.markets, [status.markets, status.totals], () => markets(status));
  putIfChanged(parts.jobs, [status.jobs, now], () => jobs(status.jobs));
  putIfChanged(parts.breakers, [status.breakers, now], () => breakers(status.breakers));
  putIfChanged(parts.alerts, [status.alerts, now], () => alerts(status.alerts));
  putIfChanged(parts.rest, [status.webhook, status.intents, status.keys, status.votes_pending, now], () => rest(status));
  putIfChanged(parts.versions, [status.versions, status.cluster, status.drill], () => versions(status));
}

function drawHead(parts, status) {
  const health = app.reachable ? (status?.health ?? 'waiting') : 'unreachable';
  putIfChanged(parts.health, [health, status?.ready], () => [
    dot(KINDS[health]), h('h1', {}, TITLES[health]), status && app.reachable && !status.ready ? badge('Not caught up yet', 'warn') : null]);
  if (!status) return;
  const unwell = app.reachable ? status.unwell : [];
  parts.unwell.hidden = !unwell.length;
  putIfChanged(parts.unwell, unwell, () => unwell.map(({ service, status: how, reason }) => h('li', {}, dot(how === 'error' ? 'bad' : 'warn'), h('span', {}, h('b', {}, words(service)), `: ${reason}`))));
  putIfChanged(parts.about, [status.program_id, Math.floor(status.uptime_seconds / 10), app.reachable], () => app.reachable ? [
    `Version ${status.version} on ${status.cluster}, up ${duration(status.uptime_seconds)}. Program `, copyable(status.program_id)] : `What is shown is what it said at ${time(status.time)}.`);
}
