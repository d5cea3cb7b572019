import { alerts } from '../admin/alerts.js';
import { audit } from '../admin/audit.js';
import { log } from '../admin/log.js';
import { markets } from '../admin/markets.js';
import { operations } from '../admin/operations.js';
import { queue } from '../admin/queue.js';
import { signInCard } from '../admin/signin.js';
import { app } from '../app.js';
import { h, put } from '../dom.js';
import { address } from '../format.js';
import { choice, worker } from '../parts/basics.js';
import { setQuery } from '../router.js';

/** What administrators of the node do, once they have signed in. */

const TABS = { operations: ['Operations', operations], alerts: ['Alerts', alerts], queue: ['Queue', queue], markets: ['Markets', markets], audit: ['Audit', audit], log: ['Log', log] };

export function mount({ root, query, signal }) {
  const body = h('div.stack');
  const tools = h('div.row');
  let tab = query.get('tab') ?? 'operations';
  let open = new AbortController();
  const show = () => {
    open.abort();
    open = new AbortController();
    const stop = AbortSignal.any([signal, open.signal]);
    put(body, app.admin ? (TABS[tab] ?? TABS.operations)[1](stop) : signInCard(stop));
  };
  const draw = () => {
    put(tools, app.admin ? [h('span.small.muted', {}, `Signed in as ${address(app.admin.wallet?.address)}`), worker('Sign out', signOut, { kind: 'slim', 'data-key': 'out', 'data-do': 'out' })] : null);
    put(tabs, app.admin ? choice('Sections', Object.entries(TABS).map(([key, [title]]) => [key, title]), tab, (value) => {
      tab = value;
      setQuery({ tab });
      show();
    }) : null);
    show();
  };
  const tabs = h('div');
  put(root, h('div.view-head', {}, h('div', {}, h('h1', {}, 'Admin'), h('p', {}, 'Everything done here is written to the audit log.')), tools), tabs, body);
  app.watch('admin', signal, draw);
  app.addEventListener('protocol', () => app.admin || show(), { signal });
}

async function signOut() {
  const client = app.admin;
  app.setAdmin(null);
  await client?.signOut();
}
