import { app } from '../app.js';
import { ask, show } from '../dialog.js';
import { h, put } from '../dom.js';
import { follow } from '../follow.js';
import { short } from '../format.js';
import { toast } from '../notify.js';
import { badge, blank, card, copyable, worker } from '../parts/basics.js';

/** The list of burner wallets: one of them acts. */

const BALANCES_EVERY_MS = 6_000;
const FIRST_SOL = 100;
const MORE_SOL = 50;
const FIRST_WALLETS = 3;

/**
 * @param {import('../wallet/burners.js').Burners} burners
 * @param {import('./log.js').ActionLog} log
 * @param {AbortSignal} signal
 */
export function walletsCard(burners, log, signal) {
  const list = h('ul.wallets');
  const group = h('div', { role: 'radiogroup', 'aria-label': 'The wallet that acts' }, list);
  const body = h('div');
  // All wallets first, which takes no time, so that a reload meets all of them; their SOL comes at the same time.
  const create = async (count) => {
    const created = [];
    for (let i = 0; i < count; i++) created.push(await burners.create());
    await Promise.all(created.map(async (burner) => {
      if (app.devnet) await fund(burner, FIRST_SOL, log);
      log.add(`${burner.name} was created`);
    }));
  };
  const draw = () => {
    if (!burners.list.length) {
      const text = app.devnet ? `With ${FIRST_SOL} SOL each, from the faucet.` : ['Fund them at ', h('a', { href: 'https://faucet.solana.com', target: '_blank', rel: 'noreferrer' }, 'faucet.solana.com'), '.'];
      return put(body, blank('No wallets yet.', text, h('div', {}, worker('Create three wallets', () => create(FIRST_WALLETS), { kind: 'primary', 'data-do': 'wallets' }))));
    }
    put(list, burners.list.map((burner) => walletRow(burners, burner, log)));
    if (!group.isConnected) put(body, group);
  };
  burners.addEventListener('change', draw, { signal });
  draw();
  follow(() => readBalances(burners), BALANCES_EVERY_MS, signal);
  const bring = async () => {
    const text = await ask({ title: 'Import a wallet', label: 'Secret key', action: 'Import', most: 400, text: 'The base58 text that wallets export, or what a Solana CLI keypair file holds. Only keys of play money belong here: whoever can run a script in this page can read them.' });
    if (text !== null) log.add(`${(await burners.import(text)).name} was imported`);
  };
  const tools = h('span.row', {},
    worker('Import', bring, { kind: 'quiet slim', 'data-do': 'import-wallet' }),
    worker('Add', () => create(1), { kind: 'slim', 'data-do': 'add-wallet' }));
  return card('Wallets', { tools }, body);
}

async function fund(burner, sol, log) {
  const { signature } = await app.zmart.post('/api/devnet/airdrop', { wallet: burner.wallet.address, sol });
  log.add(`${burner.name} got ${sol} SOL from the faucet`, signature);
}

export async function readBalances(burners) {
  for (const burner of burners.list) {
    const { sol } = await app.zmart.get(`/api/users/${burner.wallet.address}/balance`);
    burners.setBalance(burner, sol);
  }
}

async function copySecret({ name, wallet }) {
  try {
    await navigator.clipboard.writeText(wallet.secret);
    toast(`The secret key of ${name} is in the clipboard`);
  } catch {
    toast('This browser did not let the page write to the clipboard.', 'bad');
  }
}

/** The key once more, to be kept elsewhere, before it is gone from here. */
async function forget(burners, { name, wallet }) {
  const file = URL.createObjectURL(new Blob([wallet.keypairFile], { type: 'application/json' }));
  const sure = await show(`Forget ${name}?`, h('div.stack-s', {},
    h('p.small', {}, 'Its secret key is only in this browser. Without it nobody can reach what the wallet holds.'),
    h('pre.raw', { tabindex: '0', role: 'region', 'aria-label': 'Secret key' }, wallet.secret),
    h('div.actions', {},
      h('button.button.slim', { type: 'button', 'data-do': 'copy-key', onclick: () => copySecret({ name, wallet }) }, 'Copy the key'),
      h('a.button.slim', { href: file, download: `${wallet.address}.json`, 'data-do': 'save-key' }, 'Save as a Solana CLI file'))), { action: 'Forget it' });
  URL.revokeObjectURL(file);
  if (sure) burners.remove(burners.find(wallet.address));
}

function walletRow(burners, burner, log) {
  const { wallet, name, sol } = burner;
  const acts = burners.active === burner;
  const signedIn = Boolean(burner.client.session);
  return h('li', { 'data-wallet': wallet.address },
    h('input', { type: 'radio', name: 'wallet', id: `w-${wallet.address}`, checked: acts, 'data-key': wallet.address, onchange: () => burners.choose(burner) }),
    h('label', { for: `w-${wallet.address}` }, h('span.row', {}, h('strong', {}, name), signedIn ? badge('signed in', 'ok') : null), h('span.muted.mono', {}, `${wallet.address.slice(0, 8)}…`)),
    h('strong', {}, sol === null ? '' : `${short(sol)} SOL`),
    acts ? h('div.stack-xs.wallet-acts', {},
      h('div.actions', {},
        app.devnet ? worker(`Get ${MORE_SOL} SOL`, async () => {
          await fund(burner, MORE_SOL, log);
          await readBalances(burners);
        }, { kind: 'slim', 'data-key': 'faucet', 'data-do': 'faucet' }) : null,
        signedIn ? null : worker('Sign in', () => burners.session(burner), { kind: 'slim', 'data-key': 'signin', 'data-do': 'signin' }),
        h('button.button.quiet.slim', { type: 'button', 'aria-label': `Forget ${name}`, 'data-key': 'forget', 'data-do': 'forget', onclick: () => forget(burners, burner) }, 'Forget')),
      h('div.row.small', {}, copyable(wallet.address, 'address'),
        h('button.copy', { type: 'button', onclick: () => copySecret(burner) }, h('span.hidden', {}, 'Copy '), 'secret key'))) : null);
}
