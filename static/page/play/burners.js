import { BurnerWallet, Zmart, base58Encode } from '../../zmart.js';

/** Burner wallets of this browser: play money, kept in its local storage so that a reload does not lose them. */

const KEY = 'zmart.burners';
const WALLETS_MAX = 12;
const VOTE_TEXT = 'Sign in to ZMART\nTimestamp: ';

/** @typedef {{name: string, wallet: BurnerWallet, client: Zmart, sol: number | null}} Burner */

export class Burners extends EventTarget {
  /** @type {Burner[]} */ list = [];
  /** @type {Burner | null} */ active = null;

  async load() {
    for (const { name, secret } of read()) this.#add(name, await BurnerWallet.fromSecret(secret));
    this.active = this.list[0] ?? null;
    this.#changed();
  }

  async create() {
    if (this.list.length >= WALLETS_MAX) throw new Error(`${WALLETS_MAX} wallets are enough.`);
    const taken = this.list.map(({ name }) => Number(name.replace(/\D+/g, '')));
    const burner = this.#add(`Wallet ${Math.max(0, ...taken) + 1}`, await BurnerWallet.generate());
    this.active ??= burner;
    this.#save();
    return burner;
  }

  remove(burner) {
    this.list = this.list.filter((each) => each !== burner);
    if (this.active === burner) this.active = this.list[0] ?? null;
    this.#save();
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

  #save() {
    localStorage.setItem(KEY, JSON.stringify(this.list.map(({ name, wallet }) => ({ name, secret: wallet.secret }))));
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }
}

function read() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(found) ? found : [];
  } catch {
    return [];
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
