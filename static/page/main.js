import { app } from './app.js';
import { h, put, putIfChanged, s, say } from './dom.js';
import { toast } from './notify.js';
import { failed } from './parts/basics.js';
import { Router } from './router.js';
import { connection } from './wallet/connection.js';
import { walletButton } from './wallet/menu.js';

/** Starts the page: navigation, connection light, theme, views. */

const VIEWS = [
  ['markets', 'Markets'],
  ['events', 'Events'],
  ['playground', 'Playground'],
  ['node', 'Node'],
  ['admin', 'Admin'],
];

const ROUTES = [
  { path: '', title: 'Markets', load: () => import('./views/markets.js') },
  { path: 'markets', title: 'Markets', load: () => import('./views/markets.js') },
  { path: 'markets/:id', title: 'Market', load: () => import('./views/market.js') },
  { path: 'create', title: 'New market', load: () => import('./views/create.js') },
  { path: 'wallets/:address', title: 'Wallet', load: () => import('./views/wallet.js') },
  { path: 'node', title: 'Node', load: () => import('./views/node.js') },
  { path: 'events', title: 'Events', load: () => import('./views/events.js') },
  { path: 'playground', title: 'Playground', load: () => import('./views/playground.js') },
  { path: 'playground/:id', title: 'Playground', load: () => import('./views/playground.js') },
  { path: 'admin', title: 'Admin', load: () => import('./views/admin.js') },
];

const LIGHTS = {
  open: ['ok', 'Live'],
  connecting: ['warn', 'Connecting'],
  waiting: ['bad', 'Reconnecting'],
  closed: ['off', 'Closed'],
};

function drawNav(current) {
  const nav = /** @type {HTMLElement} */ (document.getElementById('nav'));
  const playable = app.cluster === undefined || app.isPlayable;
  const shown = VIEWS.filter(([path]) => path !== 'playground' || playable);
  putIfChanged(nav, [current, playable], () => [shown.map(([path, title]) =>
    h('a', { href: `#/${path}`, 'aria-current': path === (current || 'markets') ? 'page' : null, 'data-key': path }, title)),
  h('a', { href: '/docs', 'data-key': 'docs' }, 'API')]);
}

function connectionLight() {
  const light = h('span.dot');
  const text = h('span');
  const element = h('span.badge.state-light', { role: 'status', id: 'connection' }, light, text);
  const draw = () => {
    const [kind, word] = app.reachable ? LIGHTS[app.live.state] : LIGHTS.waiting;
    light.className = `dot ${kind}`;
    element.dataset.state = app.reachable ? app.live.state : 'waiting';
    say(text, word);
  };
  app.live.addEventListener('state', draw);
  app.addEventListener('status', draw);
  draw();
  return element;
}

function themeButton() {
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches);
  const button = h('button.button.quiet.square', { type: 'button', id: 'theme', title: 'Light or dark' });
  const draw = () => {
    button.setAttribute('aria-label', isDark() ? 'Use the light theme' : 'Use the dark theme');
    put(button, icon(isDark()));
  };
  button.addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    localStorage.setItem('zmart.theme', root.dataset.theme);
    draw();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  draw();
  return button;
}

const SUN = 'M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8ZM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4';
const MOON = 'M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5Z';

function icon(dark) {
  return s('svg', { viewBox: '0 0 24 24', width: 18, height: 18, 'aria-hidden': 'true' },
    s('path', { fill: 'none', stroke: 'currentColor', 'stroke-width': 1.8, 'stroke-linecap': 'round', d: dark ? SUN : MOON }));
}

const NOTICE = 'zmart.notice';

/** Another node, or a devnet begun anew, behind the same address: what the page knows is of the old one. */
function beginAnew() {
  connection.endSession();
  sessionStorage.setItem(NOTICE, 'Another node answers here now, with a chain of its own. Everything was loaded anew.');
  location.reload();
}

function tellNotice() {
  const notice = sessionStorage.getItem(NOTICE);
  sessionStorage.removeItem(NOTICE);
  if (notice) toast(notice);
}

/** `/markets/ID`, as links to a market are shared, is the view of that market. */
function enterView() {
  const path = location.pathname.replace(/\/+$/, '');
  if (path.startsWith('/markets')) history.replaceState(null, '', `/#${path}`);
}

async function start() {
  enterView();
  tellNotice();
  app.addEventListener('replaced', beginAnew);
  put(/** @type {HTMLElement} */ (document.getElementById('tools')), connectionLight(), themeButton(), walletButton());
  let current = '';
  const router = new Router(/** @type {HTMLElement} */ (document.getElementById('main')), ROUTES, (first) => {
    current = first;
    drawNav(current);
  }, (retry) => h('section.card', {}, failed(new Error('The node cannot be reached.'), retry)));
  for (const news of ['protocol', 'status']) app.addEventListener(news, () => drawNav(current));
  const started = app.start();
  await router.open();
  await started;
  await connection.restore();
  await router.prefetch();
}

start();
