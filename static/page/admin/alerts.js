import { app } from '../app.js';
import { h } from '../dom.js';
import { count, since, words } from '../format.js';
import { toast } from '../notify.js';
import { badge, cell, endCell, worker } from '../parts/basics.js';
import { runbookLink } from '../node/overview.js';
import { marketLink } from '../parts/market.js';
import { freshList } from './lists.js';

const KINDS = { CRITICAL: 'bad', HIGH: 'bad', MEDIUM: 'warn' };

/** Alerts that are not resolved; new ones come by push. */
export function alerts(signal) {
  const list = freshList({
    title: 'Alerts', path: '/api/alerts', query: { limit: 100 },
    rows: (answer) => answer.alerts.filter(({ status }) => status !== 'resolved'),
    empty: 'No open alerts.',
    heads: ['Severity', ['Alert', 'whole'], ['Market', 'whole'], ['Times', 'end'], 'Opened', ''],
    row: alertRow,
  }, signal);
  app.live.listen({ channels: ['alerts'], onMessage: ({ type }) => type === 'alert' && list.refresh().catch(() => {}) }, signal);
  return [list.element];
}

function alertRow(alert, refresh) {
  return h('tr', { 'data-alert': alert.alert_type },
    cell(badge(words(alert.severity), KINDS[alert.severity] ?? '')),
    cell(h('strong', {}, words(alert.alert_type)), h('p.muted', {}, alert.message, ' ', runbookLink(alert))),
    cell(alert.market_id ? marketLink(alert.market_id) : (alert.subject || '–')),
    endCell(count(alert.count)),
    cell(since(alert.opened_at)),
    endCell(alert.status === 'acknowledged'
      ? badge('acknowledged')
      : worker('Acknowledge', async () => {
        await app.admin.post(`/api/admin/alerts/${alert.id}/ack`);
        toast('Acknowledged', 'ok');
        await refresh();
      }, { kind: 'slim', 'data-key': `ack-${alert.id}`, 'data-do': 'acknowledge' })));
}
