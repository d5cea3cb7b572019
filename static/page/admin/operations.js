import { app } from '../app.js';
import { ask } from '../dialog.js';
import { h, put } from '../dom.js';
import { count, date, since, words } from '../format.js';
import { toast } from '../notify.js';
import { badge, card, cell, dot, endCell, worker } from '../parts/basics.js';
import { freshList } from './lists.js';

/** Jobs, breakers, backups, and whether the protocol stands still. */

const BREAKER_KINDS = { closed: 'ok', half_open: 'warn', open: 'bad' };

export const operations = (signal) => [
  freshList({
    title: 'Jobs', path: '/api/admin/jobs', rows: ({ jobs }) => jobs, empty: 'No jobs.',
    heads: ['Job', 'Schedule', 'State', 'Last run', 'Next run', ['Runs', 'end'], ''],
    row: jobRow,
  }, signal).element,
  h('div.grid', {},
    freshList({
      title: 'Circuit breakers', path: '/api/admin/breakers', rows: ({ breakers }) => breakers, empty: 'No breakers.',
      heads: ['Breaker', 'State', ['Failures', 'end'], ''],
      row: breakerRow,
    }, signal).element,
    h('div.stack', {}, protocolCard(signal), backups(signal))),
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
    cell(h('strong', {}, words(job.name)), job.last_error ? h('p.bad.small', {}, job.last_error) : null),
    cell(job.schedule),
    cell(job.running ? badge('running', 'accent') : paused ? badge('paused', 'warn') : job.last_result === 'failed' ? badge('failed', 'bad') : badge(job.last_result ?? 'waiting', job.last_result ? 'ok' : '')),
    cell(job.last_finished_at ? since(job.last_finished_at) : 'never'),
    cell(paused ? '–' : since(job.next_run_at)),
    endCell(count(job.runs), job.failures ? h('span.bad', {}, ` (${job.failures} failed)`) : null),
    endCell(h('span.row.tight', {},
      worker('Run', () => post(`${path}/run`, {}, `${words(job.name)} runs`, refresh), { kind: 'slim', 'data-key': `run-${job.name}`, 'aria-label': `Run ${job.name}` }),
      worker(paused ? 'Resume' : 'Pause', () => post(`${path}/${paused ? 'resume' : 'pause'}`, {}, `${words(job.name)} ${paused ? 'goes on' : 'is paused'}`, refresh), { kind: 'slim', 'data-key': `pause-${job.name}`, 'aria-label': `${paused ? 'Resume' : 'Pause'} ${job.name}` }))));
}

function breakerRow(breaker, refresh) {
  return h('tr', {},
    cell(h('span.row', {}, dot(BREAKER_KINDS[breaker.state]), words(breaker.name)), breaker.last_error ? h('p.bad.small', {}, breaker.last_error) : null),
    cell(words(breaker.state), breaker.open_until ? `, ${since(breaker.open_until)}` : ''),
    endCell(count(breaker.failures)),
    endCell(worker('Reset', () => post(`/api/admin/breakers/${breaker.name}/reset`, {}, `${words(breaker.name)} is closed`, refresh), { kind: 'slim', disabled: breaker.state === 'closed' && !breaker.failures, 'data-key': `reset-${breaker.name}`, 'aria-label': `Reset ${breaker.name}` })));
}

function protocolCard(signal) {
  const body = h('div.card-body.stack-s');
  const draw = () => {
    const paused = app.protocol?.is_paused;
    put(body,
      h('p.small', {}, paused === undefined ? 'The program’s configuration cannot be read.' : paused ? 'The protocol is paused: nobody can create markets or trade.' : 'The protocol runs.'),
      h('div.actions', {}, worker(paused ? 'Resume the protocol' : 'Pause the protocol', () => pause(!paused), { kind: paused ? 'primary' : '', 'data-key': 'protocol', 'data-do': 'protocol' })));
  };
  app.watch('protocol', signal, draw);
  return card('Protocol', {}, body);
}

async function pause(paused) {
  const reason = await ask({ title: paused ? 'Pause the protocol?' : 'Resume the protocol?', text: 'This is a transaction of the program’s admin.', label: 'Reason, for the audit log', action: paused ? 'Pause' : 'Resume', least: 3 });
  if (!reason) return;
  await app.admin.act('/api/admin/protocol/pause', { paused, reason });
  toast(paused ? 'Pausing is under way' : 'Resuming is under way', 'ok');
  for (let i = 0; i < 20 && app.protocol?.is_paused !== paused; i++) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    await app.refreshProtocol();
  }
}

function backups(signal) {
  const make = worker('Back up now', () => app.admin.post('/api/admin/backups').then(() => toast('The backup is under way', 'ok')), { kind: 'slim' });
  return freshList({
    title: 'Backups', path: '/api/admin/backups', rows: (answer) => answer.backups, empty: 'No backups yet.', tools: make,
    heads: ['File', ['Size', 'end'], ['Made', 'end']],
    row: (backup) => h('tr', {}, cell(h('span.mono', {}, backup.file)), endCell(`${count(Math.round(backup.size_bytes / 1024))} KiB`), endCell(date(backup.created_at))),
  }, signal).element;
}
