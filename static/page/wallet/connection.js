import { StandardWallets, Zmart, connectStandard } from '../../zmart.js';
import { app } from '../app.js';
import { burners } from './burners.js';

/** The wallet that somebody has connected to this page, whatever it is. It is asked to sign in when that is needed first. */

const CHOICE = 'zmart.wallet';
const SESSION = 'zmart.session';
const TEST_SOL = 100;
/** A wallet that registers later than that is not connected again by itself. */
const LATE_MS = 10_000;

/**
 * @typedef {object} Connected
 * @property {'standard' | 'test'} kind
 * @property {string} name
 * @property {string | null} icon
 * @property {string} address
 * @property {import('../../zmart/wallet.js').Signer} signer
 * @property {Zmart} client
 */

class Connection extends EventTarget {
  wallets = new StandardWallets();
  /** @type {Connected | null} */ current = null;
  /** @type {string | null} lamports of the connected wallet, as last heard */ lamports = null;
  #stopEvents = () => {};

  /** Connects what was connected when this browser was last here, if that goes without asking anybody. */
  async restore() {
    const choice = stored(localStorage, CHOICE);
    if (!choice) return;
    if (choice.kind === 'test') return this.#restoreTest(choice);
    const attempt = async () => {
      const wallet = this.wallets.find(choice.name);
      if (!wallet || this.current) return Boolean(this.current);
      const signer = await connectStandard(wallet, app.cluster ?? 'mainnet', { silent: true }).catch(() => null);
      if (signer && !this.current) this.#take('standard', wallet.name, wallet.icon, signer);
      return true;
    };
    if (await attempt()) return;
    const done = new AbortController();
    this.wallets.addEventListener('change', async () => (await attempt()) && done.abort(), { signal: done.signal });
    setTimeout(() => done.abort(), LATE_MS);
  }

  async #restoreTest({ address }) {
    await burners.load();
    const burner = burners.find(address);
    if (burner && app.devnet && !this.current) this.#take('test', burner.name, null, burner.wallet);
  }

  /** @param {any} wallet one of the Wallet Standard */
  async connect(wallet) {
    const signer = await connectStandard(wallet, app.cluster ?? 'mainnet');
    if (signer) this.#take('standard', wallet.name, wallet.icon, signer);
  }

  /**
   * A wallet of play money, in this browser: a new one, with SOL of the devnet's faucet, unless one is given.
   * @param {import('./burners.js').Burner} [given]
   */
  async connectTest(given) {
    await burners.load();
    const burner = given ?? (await burners.create());
    this.#take('test', burner.name, null, burner.wallet);
    if (!given) await this.drop(TEST_SOL);
  }

  /** Has the devnet's faucet send some SOL. */
  async drop(sol) {
    await app.zmart.post('/api/devnet/airdrop', { wallet: this.current?.address, sol });
    await this.readBalance();
  }

  #take(kind, name, icon, signer) {
    this.#stopEvents();
    const client = new Zmart();
    client.wallet = signer;
    client.session = session(signer.address);
    this.current = { kind, name, icon: icon ?? null, address: signer.address, signer, client };
    this.lamports = null;
    localStorage.setItem(CHOICE, JSON.stringify({ kind, name, address: signer.address }));
    this.#stopEvents = signer.onChange?.((next) => this.#follow(name, icon, next)) ?? (() => {});
    this.#changed();
    this.readBalance().catch(() => {});
  }

  /** The wallet's owner has chosen another account in it, or has disconnected it. */
  #follow(name, icon, signer) {
    if (!signer) return this.#forget();
    if (signer.address !== this.current?.address) this.#take('standard', name, icon, signer);
    else if (this.current) Object.assign(this.current.signer, { account: signer.account });
  }

  async disconnect() {
    const { current } = this;
    this.#forget();
    await current?.client.signOut().catch(() => {});
    await /** @type {any} */ (current?.signer)?.disconnect?.();
  }

  #forget() {
    this.#stopEvents();
    this.#stopEvents = () => {};
    this.current = null;
    this.lamports = null;
    localStorage.removeItem(CHOICE);
    sessionStorage.removeItem(SESSION);
    this.#changed();
  }

  /** Another node stands behind the address: what the old one promised counts for nothing. */
  endSession() {
    sessionStorage.removeItem(SESSION);
    if (this.current) this.current.client.session = null;
    burners.endSessions();
  }

  /** The connected wallet, or an error that says what is missing. */
  require() {
    if (!this.current) throw new Error('Connect a wallet first.');
    return this.current;
  }

  /** A client that is signed in as the connected wallet; the wallet asks its owner where it has to. */
  async session() {
    const { client, signer } = this.require();
    if (!client.session || client.session.expiresAtMs < Date.now()) await client.signIn(signer);
    sessionStorage.setItem(SESSION, JSON.stringify(client.session));
    return client;
  }

  /**
   * Has a transaction built, signed, sent and indexed.
   * @param {string} path
   * @param {object} body
   */
  async act(path, body) {
    const client = await this.session();
    const done = await client.act(path, body);
    this.readBalance().catch(() => {});
    return done;
  }

  async readBalance() {
    const { current } = this;
    if (!current) return;
    const { lamports } = await app.zmart.get(`/api/users/${current.address}/balance`);
    if (this.current !== current || this.lamports === lamports) return;
    this.lamports = lamports;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }

  /** Calls `listener` now and at every change, until `signal` aborts. */
  watch(signal, listener) {
    this.addEventListener('change', listener, { signal });
    listener();
  }
}

/** The session of this tab, if it is this wallet's and lasts. */
function session(address) {
  const found = stored(sessionStorage, SESSION);
  return found && found.wallet === address && found.expiresAtMs > Date.now() ? found : null;
}

function stored(storage, key) {
  try {
    return JSON.parse(storage.getItem(key) ?? 'null');
  } catch {
    return null;
  }
}

export const connection = new Connection();
