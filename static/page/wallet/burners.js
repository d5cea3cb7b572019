import { BurnerWallet, Zmart, base58Encode } from '../../zmart.js';

/**
 * Burner wallets of this browser: play money. Each key lies in local storage under an entry of its own, which no other
 * tab overwrites, and every tab follows what the others do.
 */

const PREFIX = 'zmart.burner.';
/** One entry for all of them, as earlier versions had it: of two tabs the second overwrote the first's. */
const OLD_KEY = 'zmart.burners';
const WALLETS_MAX = 12;
const VOTE_TEXT = 'Sign in to ZMART\nTimestamp: ';

/** @typedef {{name: string, wallet: BurnerWallet, client: Zmart, sol: number | null}} Burner */

export class Burners extends EventTarget {
  /** @type {Burner[]} */ list = [];
  /** @type {Burner | null} */ active = null;
  /** @type {Promise<void> | null} */ #loading = null;

  /** Reads the keys of this browser, once. Those that cannot be read are left alone. */
  load() {
    this.#loading ??= this.#load();
    return this.#loading;
  }

  async #load() {
    for (const { name, secret } of oldEntries()) {
      const wallet = await BurnerWallet.fromSecret(secret).catch(() => null);
      if (wallet && !localStorage.getItem(PREFIX + wallet.address)) store(name, wallet);
    }
    localStorage.removeItem(OLD_KEY);
    for (const { name, secret } of entries()) await this.#read(name, secret);
    this.active = this.list[0] ?? null;
    this.#changed();
    addEventListener('storage', ({ key }) => (key === null || key.startsWith(PREFIX)) && this.#follow());
  }

  /** What other tabs have added and taken away. */
  async #follow() {
    const found = entries();
    const kept = new Set(found.map(({ address }) => address));
    this.list = this.list.filter(({ wallet }) => kept.has(wallet.address));
    if (this.active && !this.list.includes(this.active)) this.active = null;
    for (const { address, name, secret } of found) {
      if (!this.find(address)) await this.#read(name, secret);
    }
    this.active ??= this.list[0] ?? null;
    this.#changed();
  }

  async #read(name, secret) {
    const wallet = await BurnerWallet.fromSecret(secret).catch(() => null);
    if (wallet && !this.find(wallet.address)) this.#add(name, wallet);
  }

  async create() {
    this.#requireRoom();
    return this.#keep(await BurnerWallet.generate());
  }

  /**
   * Takes over a key that somebody has elsewhere.
   * @param {string} text as wallets export it, or the Solana CLI's file
   */
  async import(text) {
    const wallet = await BurnerWallet.fromSecret(text).catch(() => {
      throw new Error('This is no secret key. Paste the base58 text that wallets export, or the numbers of a Solana CLI keypair file.');
    });
    if (this.find(wallet.address)) throw new Error('This wallet is in the list already.');
    this.#requireRoom();
    return this.#keep(wallet);
  }

  #requireRoom() {
    if (entries().length >= WALLETS_MAX) throw new Error(`${WALLETS_MAX} wallets are enough. Forget one first.`);
  }

  #keep(wallet) {
    const taken = entries().map(({ name }) => Number(name.replace(/\D+/g, '')));
    const name = `Wallet ${Math.max(0, ...taken) + 1}`;
    store(name, wallet);
    const burner = this.find(wallet.address) ?? this.#add(name, wallet);
    this.active ??= burner;
    this.#changed();
    return burner;
  }

  remove(burner) {
    localStorage.removeItem(PREFIX + burner.wallet.address);
    this.list = this.list.filter((each) => each !== burner);
    if (this.active === burner) this.active = this.list[0] ?? null;
    this.#changed();
  }

  choose(burner) {
    this.active = burner;
    this.#changed();
  }

  find(address) {
    return this.list.find(({ wallet }) => wallet.address === address) ?? null;
  }

  name(address) {
    return this.find(address)?.name ?? null;
  }

  /**
   * The burner's client, signed in. Listeners of `signedin` are told who has.
   * @param {Burner} burner
   */
  async session(burner) {
    if (!burner.client.session) {
      await burner.client.signIn(burner.wallet);
      this.dispatchEvent(new CustomEvent('signedin', { detail: burner }));
      this.#changed();
    }
    return burner.client;
  }

  /** Forgets the sessions: the node behind the address is another one. */
  endSessions() {
    for (const burner of this.list) burner.client = new Zmart();
    this.#changed();
  }

  setBalance(burner, sol) {
    if (burner.sol === sol) return;
    burner.sol = sol;
    this.#changed();
  }

  #add(name, wallet) {
    const burner = { name, wallet, client: new Zmart(), sol: null };
    this.list.push(burner);
    return burner;
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }
}

/** Those of this browser, shared by all views. */
export const burners = new Burners();

function store(name, wallet) {
  localStorage.setItem(PREFIX + wallet.address, JSON.stringify({ name, secret: wallet.secret }));
}

/** @returns {{address: string, name: string, secret: string}[]} by their names' numbers */
function entries() {
  const keys = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
  const found = keys.map((key) => ({ address: key.slice(PREFIX.length), ...parsed(localStorage.getItem(key), {}) }));
  return found.filter(({ secret }) => typeof secret === 'string').sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
}

function oldEntries() {
  const found = parsed(localStorage.getItem(OLD_KEY), []);
  return Array.isArray(found) ? found : [];
}

function parsed(text, otherwise) {
  try {
    return JSON.parse(text ?? '') ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** A vote of a wallet made for it and forgotten afterwards. It signs once and needs no session. */
export async function voteOnce(marketId, vote) {
  const wallet = await BurnerWallet.generate();
  const message = VOTE_TEXT + Date.now();
  const signature = base58Encode(await wallet.sign(new TextEncoder().encode(message)));
  const credential = new URLSearchParams({ message, signature, wallet: wallet.address });
  const response = await fetch('/api/votes/proposal', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Signature ${String(credential).replaceAll('+', '%20')}` },
    body: JSON.stringify({ market_id: marketId, vote }),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.message);
  return answer;
}
