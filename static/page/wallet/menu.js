import { BurnerWallet } from '../../zmart.js';
import { app } from '../app.js';
import { panel } from '../dialog.js';
import { h, put, putIfChanged } from '../dom.js';
import { address, sol } from '../format.js';
import { complain } from '../notify.js';
import { copyable, worker } from '../parts/basics.js';
import { explorerLink } from '../parts/explorer.js';
import { burners } from './burners.js';
import { connection } from './connection.js';

/** The button in the bar that connects a wallet, and the menus behind it. */

const MORE_SOL = 50;
const BALANCE_EVERY_MS = 15_000;
/** Wallets that open a page in their own browser, where they are a Wallet-Standard wallet like on a computer. */
const BROWSERS = [
  ['Phantom', (page, home) => `https://phantom.app/ul/browse/${page}?ref=${home}`],
  ['Solflare', (page, home) => `https://solflare.com/ul/v1/browse/${page}?ref=${home}`],
  ['Backpack', (page, home) => `https://backpack.app/ul/v1/browse/${page}?ref=${home}`],
];

export function walletButton() {
  const holder = h('span.wallet-button');
  const draw = () => {
    const { current, lamports } = connection;
    putIfChanged(holder, [current?.address, current?.name, lamports], () => (current
      ? h('button.button.slim', { type: 'button', id: 'wallet', 'data-key': 'wallet', 'data-address': current.address, 'aria-haspopup': 'dialog', onclick: openWallet },
        walletIcon(current), h('span.wallet-sol', {}, lamports === null ? '' : sol(lamports, 2)), h('span.mono', {}, address(current.address)))
      : h('button.button.primary.slim', { type: 'button', id: 'wallet', 'data-key': 'wallet', 'data-do': 'connect', 'aria-haspopup': 'dialog', onclick: () => openConnect() }, 'Connect')));
  };
  connection.addEventListener('change', draw);
  setInterval(() => document.hidden || connection.readBalance().catch(() => {}), BALANCE_EVERY_MS);
  draw();
  return holder;
}

function walletIcon({ icon, name }) {
  // The Wallet Standard has icons as data URLs; anything else is not loaded.
  return /^data:image\/(svg\+xml|png|webp|gif);base64,/.test(icon ?? '') ? h('img.wallet-icon', { src: icon, alt: '', width: 18, height: 18 }) : h('span.wallet-icon.letter', { 'aria-hidden': 'true' }, name.slice(0, 1));
}

/**
 * Lets somebody choose a wallet. Wallets that come later join the list.
 * @returns {Promise<boolean>} whether one is connected
 */
export function openConnect() {
  const { body, close, closed } = panel('Connect a wallet');
  const problem = h('p.notice.bad', { role: 'alert', hidden: true });
  const choose = (work) => async () => {
    problem.hidden = true;
    try {
      await work();
      close();
    } catch (error) {
      problem.hidden = false;
      put(problem, error instanceof Error ? error.message : String(error));
    }
  };
  const listening = new AbortController();
  closed.then(() => listening.abort());
  const list = h('div.stack-s');
  const draw = () => putIfChanged(list, [connection.wallets.list.map(({ name }) => name), burners.list.map(({ name }) => name), app.cluster], () => [
    connection.wallets.list.map((wallet) => entry(wallet, 'in this browser', choose(() => connection.connect(wallet)))),
    connection.wallets.list.length ? null : h('p.notice', {}, 'No wallet was found in this browser. One that you install appears here by itself.'),
    testWallets(choose),
    connection.wallets.list.length ? null : browseLinks(),
  ]);
  connection.wallets.addEventListener('change', draw, { signal: listening.signal });
  burners.addEventListener('change', draw, { signal: listening.signal });
  burners.load().catch(complain);
  put(body, list, problem, h('p.small.muted', {}, 'Connecting shows your address and nothing more. Your wallet asks you before each signature; the node never holds a key or your money.'));
  draw();
  return closed.then(() => connection.current !== null);
}

function entry(wallet, note, work) {
  const button = worker('', work, { kind: 'wallet-entry', 'data-wallet-name': wallet.name });
  put(button, walletIcon(wallet), h('strong', {}, wallet.name), h('span.muted.small', {}, note));
  return button;
}

/** On the embedded devnet: wallets of play money, which this browser keeps. */
function testWallets(choose) {
  if (!app.devnet) return null;
  if (!BurnerWallet.isSupported) return h('p.notice', {}, 'Test wallets need https or localhost: open the page there.');
  const fresh = worker('', choose(() => connection.connectTest()), { kind: 'wallet-entry', 'data-do': 'test-wallet' });
  put(fresh, walletIcon({ icon: null, name: '+' }), h('strong', {}, 'New test wallet'), h('span.muted.small', {}, 'with 100 SOL of play money'));
  return [burners.list.map((burner) => entry({ name: burner.name, icon: null }, `test wallet ${address(burner.wallet.address)}`, choose(() => connection.connectTest(burner)))), fresh];
}

/** On phones wallets are apps: they open this page in a browser of their own. */
function browseLinks() {
  if (location.protocol !== 'https:') return null;
  const page = encodeURIComponent(location.href);
  const home = encodeURIComponent(location.origin);
  return h('div.stack-s', {}, h('p.small', {}, 'On a phone, open this page in your wallet’s own browser:'),
    h('div.actions', {}, BROWSERS.map(([name, link]) => h('a.button', { href: link(page, home), rel: 'noreferrer' }, name))));
}

function openWallet() {
  const { current } = connection;
  if (!current) return;
  const { body, close } = panel(current.kind === 'test' ? `${current.name}, a test wallet` : current.name);
  const balance = h('p.wallet-balance', {}, connection.lamports === null ? '…' : sol(connection.lamports, 4));
  const leave = (work) => async () => {
    close();
    await work();
  };
  put(body,
    balance,
    h('p.row.small', {}, copyable(current.address, address(current.address), 'Address copied'), explorerLink('address', current.address)),
    h('div.actions', {},
      h('a.button', { href: `#/wallets/${current.address}`, 'data-do': 'mine', onclick: () => close() }, 'My positions'),
      app.devnet ? worker(`Get ${MORE_SOL} SOL`, async () => {
        await connection.drop(MORE_SOL);
        put(balance, sol(connection.lamports, 4));
      }, { 'data-do': 'wallet-faucet' }) : null),
    h('div.actions', {},
      worker('Use another wallet', leave(openConnect), { kind: 'quiet', 'data-do': 'switch-wallet' }),
      worker('Disconnect', leave(() => connection.disconnect()), { kind: 'quiet', 'data-do': 'disconnect' })));
}
