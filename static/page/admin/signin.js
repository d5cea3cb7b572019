import { BurnerWallet, Zmart } from '../../zmart.js';
import { app } from '../app.js';
import { h, put } from '../dom.js';
import { address } from '../format.js';
import { toast } from '../notify.js';
import { card, worker } from '../parts/basics.js';
import { connection } from '../wallet/connection.js';
import { openConnect } from '../wallet/menu.js';

/** Signing in as an administrator: with the connected wallet, or on the devnet with its public admin key. */

/** What the keys of the embedded devnet derive from. Everybody knows them; they are worth nothing anywhere else. */
const DEVNET_ADMIN = 'zmart-lite devnet/admin';

/** @param {AbortSignal} signal */
export function signInCard(signal) {
  const actions = h('div.actions');
  connection.watch(signal, () => put(actions, buttons()));
  return card('Sign in', {}, h('div.card-body.stack-s', {},
    h('p', {}, 'Administration is for wallets that the node’s settings name in ', h('code', {}, 'auth.admin_wallets'), '. Signing in signs a text; it costs nothing and moves nothing.'),
    actions));
}

function buttons() {
  const { current } = connection;
  const playable = app.devnet && BurnerWallet.isSupported;
  return [
    current
      ? worker(`Sign in with ${current.name}`, () => signIn(current.signer), { kind: 'primary', 'data-do': 'admin-signin' })
      : worker('Connect a wallet', () => openConnect(), { kind: playable ? '' : 'primary', 'data-do': 'admin-connect' }),
    playable ? worker('Sign in with the devnet’s admin key', async () => signIn(await devnetAdmin()), { kind: current ? '' : 'primary', 'data-do': 'devnet-admin' }) : null,
  ];
}

async function devnetAdmin() {
  const seed = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(DEVNET_ADMIN));
  const wallet = await BurnerWallet.fromSeed(new Uint8Array(seed));
  if (wallet.address !== app.devnet.admin) throw new Error('This devnet has keys of its own.');
  return wallet;
}

async function signIn(wallet) {
  const client = new Zmart();
  const session = await client.signIn(wallet);
  if (session.role !== 'admin') {
    await client.signOut();
    throw new Error(`${address(wallet.address)} is no administrator of this node. Name it in auth.admin_wallets.`);
  }
  app.setAdmin(client);
  toast('Signed in as administrator', 'ok');
}
