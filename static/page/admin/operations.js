import { app } from '../app.js';
import { show } from '../dialog.js';
import { h } from '../dom.js';
import { count, date, duration, since, size, words } from '../format.js';
import { jobState } from '../node/overview.js';
import { toast } from '../notify.js';
import { badge, blank, cell, endCell, table, worker } from '../parts/basics.js';
import { jobName, schedule } from '../parts/job.js';
import { freshList } from './lists.js';
import { protocolCard } from './protocol.js';

/** Jobs, breakers, backups, and the protocol's configuration. */

const BREAKER_KINDS = { closed: 'ok', half_open: 'warn', open: 'bad' };

export const operations = (signal) => [
  freshList({
    title: 'Jobs', path: '/api/admin/jobs', rows: ({ jobs }) => jobs, empty: 'No jobs.',
    heads: ['Job', 'Schedule', 'State', 'Last run', 'Next run', ['Runs', 'end'], ['', 'acts']],
    row: jobRow, kind: 'cards steady',
  }, signal).element,
  h('div.grid', {},
    h('div.stack', {},
      freshList({
        title: 'Circuit breakers', path: '/api/admin/breakers', rows: ({ breakers }) => breakers, empty: 'No breakers.',
        heads: ['Breaker', 'State', ['Failures', 'end'], ['', 'end']],
        row: breakerRow,
      }, signal).element,
      backups(signal)),
    protocolCard(signal)),
];

const post = async (path, body, done, refresh) => {
  const answer = await app.admin.post(path, body);
  toast(done, 'ok');
  await refresh();
  return answer;
};

function jobRow(job, refresh) {
  const path = `/api/admin/jobs/${job.name}`;
  const paused = job.paused;
  return h('tr', {},
    cell(jobName(job), job.last_error ? h('p.bad.small', {}, job.last_error) : null),
    cell(schedule(job.schedule)),
    cell(jobState(job)),
    cell(job.last_finished_at ? since(job.last_finished_at) : 'never'),
    cell(paused ? 'when resumed' : job.next_run_at ? since(job.next_run_at) : 'by hand'),
    endCell(count(job.runs), job.failures ? h('span.bad', {}, ` (${job.failures} failed)`) : null),
    endCell(h('span.row.tight', {},
      worker('Log', () => runs(job), { kind: 'slim', 'data-key': `runs-${job.name}`, 'data-do': `runs-${job.name}`, 'aria-label': `Log of ${job.name}` }),
      worker('Run', () => post(`${path}/run`, {}, `${words(job.name)} runs`, refresh), { kind: 'slim', 'data-key': `run-${job.name}`, 'aria-label': `Run ${job.name}` }),
      worker(paused ? 'Resume' : 'Pause', () => post(`${path}/${paused ? 'resume' : 'pause'}`, {}, `${words(job.name)} ${paused ? 'goes on' : 'is paused'}`, refresh), { kind: 'slim', 'data-key': `pause-${job.name}`, 'aria-label': `${paused ? 'Resume' : 'Pause'} ${job.name}` }))));
}

/** What a job did when. */
async function runs(job) {
  const { runs: found } = await app.admin.get(`/api/admin/jobs/${job.name}/runs`);
  await show(`Last runs of ${words(job.name).toLowerCase()}`, found.length
    ? table('Runs', ['Started', 'Result', ['Took', 'end'], 'What'], found.map(runRow), 'cards')
    : blank('It has not run yet.'), { kind: 'wide' });
}

function runRow(run) {
  const tookMs = run.finished_at ? Date.parse(run.finished_at) - Date.parse(run.started_at) : null;
  const counts = ['found', 'done', 'failed', 'skipped'].filter((name) => run[name]).map((name) => `${count(run[name])} ${name}`);
  return h('tr', {},
    cell(h('span.nowrap', {}, date(run.started_at))),
    cell(run.result ? badge(words(run.result).toLowerCase(), run.result === 'ok' ? 'ok' : 'bad') : badge('running', 'accent')),
    endCell(tookMs === null ? '–' : tookMs < 1000 ? `${count(tookMs)} ms` : duration(tookMs / 1000)),
    cell(run.error ? h('span.bad', {}, run.error) : counts.join(', ') || h('span.muted', {}, 'nothing to do')));
}

function breakerRow(breaker, refresh) {
  return h('tr', {},
    cell(h('strong', {}, words(breaker.name)), breaker.last_error ? h('p.bad.small', {}, breaker.last_error) : null),
    cell(badge(words(breaker.state).toLowerCase(), BREAKER_KINDS[breaker.state]), breaker.open_until ? `, ${since(breaker.open_until)}` : ''),
    endCell(count(breaker.failures)),
    endCell(breaker.state === 'closed' && !breaker.failures ? null : worker('Reset', () => post(`/api/admin/breakers/${breaker.name}/reset`, {}, `${words(breaker.name)} is closed`, refresh), { kind: 'slim', 'data-key': `reset-${breaker.name}`, 'aria-label': `Reset ${breaker.name}` })));
}

function backups(signal) {
  const make = worker('Back up now', () => post('/api/admin/backups', {}, 'The backup is under way', list.refresh), { kind: 'slim', 'data-do': 'backup' });
  const list = freshList({
    title: 'Backups', path: '/api/admin/backups', rows: (answer) => answer.backups, empty: 'No backups yet.', tools: make,
    heads: ['File', ['Size', 'end'], ['Made', 'end']], kind: 'cards',
    row: (backup) => h('tr', {}, cell(h('span.mono', {}, backup.file)), endCell(size(backup.size_bytes).join(' ')), endCell(date(backup.created_at))),
  }, signal);
  return list.element;
}
