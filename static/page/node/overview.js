import { h, s } from '../dom.js';
import { count, duration, plural, since, sol, words } from '../format.js';
import { badge, blank, cell, copyable, dot, endCell, facts, table } from '../parts/basics.js';
import { jobName } from '../parts/job.js';
import { marketLink } from '../parts/market.js';

/** What /status says, in cards. */

const STATES = ['PROPOSED', 'APPROVED', 'ACTIVE', 'RESOLVING', 'DISPUTED', 'FINALIZED', 'CANCELLED'];
const BREAKER_KINDS = { closed: 'ok', half_open: 'warn', open: 'bad' };

export function markets({ markets: byState, totals }) {
  return [
    h('div.spread', { 'aria-hidden': 'true' }, spread(byState, Math.max(1, totals.markets))),
    h('div.legend', {}, STATES.map((state) =>
      h('a', { href: `#/markets?state=${state}` }, h('span.dot', { class: `fill-${state.toLowerCase()}` }), words(state), h('b', {}, count(byState[state] ?? 0))))),
    h('p.small.muted', {}, `${plural(totals.trades, 'trade')}, ${plural(totals.votes, 'vote')}, ${plural(totals.events, 'event')}, ${plural(totals.users, 'wallet')}, ${sol(totals.total_volume, 1)} traded.`),
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

export function jobs(list) {
  if (!list.length) return blank('No jobs.');
  return table('Jobs', ['Job', 'State', ['Last run', 'spare'], 'Next run'], list.map((job) => h('tr', {},
    cell(jobName(job)),
    cell(jobState(job)),
    cell(job.last_finished_at ? since(job.last_finished_at) : h('span.muted', {}, 'never')),
    cell(job.paused || !job.next_run_at ? h('span.muted', {}, job.paused ? 'when resumed' : 'by hand') : since(job.next_run_at)))), 'steady jobs');
}

export function jobState(job) {
  if (job.running && job.progress) return badge(`${words(job.progress.phase).toLowerCase()} ${count(job.progress.done)} of ${count(job.progress.total)}`, 'accent');
  if (job.running) return badge('running', 'accent');
  if (job.paused) return badge('paused', 'warn');
  if (job.last_result === 'failed') return badge('failed', 'bad');
  return job.last_result ? badge(words(job.last_result).toLowerCase(), 'ok') : badge('not yet');
}

export function breakers(list) {
  return h('ul.services', {}, list.map((each) => h('li', {}, h('div.row-between.plain', {},
    h('span.row.whole', {}, dot(BREAKER_KINDS[each.state]), words(each.name)),
    each.state === 'closed'
      ? badge(each.failures ? `closed, ${plural(each.failures, 'failure')}` : 'closed', each.failures ? 'warn' : 'ok')
      : badge(`${words(each.state).toLowerCase()}${each.open_until ? `, ${since(each.open_until)}` : ''}`, 'bad')))));
}

export function alerts({ open, latest, by_severity: bySeverity }) {
  if (!open) return blank('No open alerts.', 'Whatever goes wrong appears here.');
  const counts = Object.entries(bySeverity).filter(([, number]) => number);
  return [
    h('p.row.padded', {}, counts.map(([severity, number]) => badge(`${number} ${words(severity).toLowerCase()}`, severityKind(severity)))),
    table('Latest alerts', ['Severity', 'Alert', 'Market', ['Opened', 'end']], latest.map((alert) => h('tr', {},
      cell(badge(words(alert.severity), severityKind(alert.severity))),
      cell(words(alert.alert_type), ' ', runbookLink(alert)),
      cell(alert.market_id ? marketLink(alert.market_id) : '–'),
      endCell(h('span.nowrap', {}, since(alert.opened_at)))))),
  ];
}

/** To the page that says what to do about an alert. */
export const runbookLink = ({ runbook }) => h('a', { href: runbook, target: '_blank', rel: 'noopener' }, 'what to do');

export const severityKind = (severity) => ({ CRITICAL: 'bad', HIGH: 'bad', MEDIUM: 'warn' })[severity] ?? '';

/** When a backup was last restored for proof, and how that went. */
function drillText(drill) {
  if (!drill) return 'none yet: one follows each nightly backup';
  const outcome = drill.ok ? badge(`restored in ${duration(drill.duration_s)}`, 'ok') : badge('failed', 'bad');
  return [outcome, ` ${since(drill.at)}, from a copy ${duration(drill.backup_age_s)} old`];
}

/** What runs here, and what it talks to. */
export function versions({ versions: of, program_id: program, cluster, drill }) {
  return facts([
    ['Node', `zmart-lite ${of.node}`],
    ['Cluster', of.solana_core ? `${cluster}, solana-core ${of.solana_core}` : `${cluster}, not answered yet`],
    ['Program', [copyable(program), `, known as of ${of.program}`]],
    ['Database', `SQLite ${of.sqlite}, schema ${of.schema}`],
    ['Python', of.python],
    ['Restore drill', drillText(drill)],
  ]);
}

export function rest(status) {
  const { webhook, intents, keys, votes_pending: pending } = status;
  return facts([
    ['Webhook deliveries', webhook.received ? `${count(webhook.received)}, last ${since(webhook.last_received_at)}` : 'none yet'],
    ['Waiting to be indexed', count(webhook.pending)],
    ['Dead letters', webhook.dead_letters ? h('a.bad', { href: '#/admin?tab=queue' }, count(webhook.dead_letters)) : '0'],
    ['Votes not yet on chain', `${count(pending.proposal)} proposal, ${count(pending.dispute)} dispute`],
    ['The node’s transactions', `${count(intents.pending)} under way, ${count(intents.failed)} failed`],
    ['Backend key', keys.backend_matches ? 'is the program’s authority' : h('span.bad', {}, 'is not the program’s authority')],
    ['Admin key', keys.admin_configured ? 'configured' : 'not configured'],
  ]);
}
