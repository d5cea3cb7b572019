import { base58Encode } from './encoding.js';
import { ZmartError } from './errors.js';
import { asVersion0 } from './transaction.js';

/** Wallets by the Wallet Standard: they announce themselves, before or after we ask, and go when they like. */

const CONNECT = 'standard:connect';
const DISCONNECT = 'standard:disconnect';
const EVENTS = 'standard:events';
const SIGN_IN = 'solana:signIn';
const SIGN_MESSAGE = 'solana:signMessage';
const SIGN_TRANSACTION = 'solana:signTransaction';
const SIGN_AND_SEND = 'solana:signAndSendTransaction';
const DECLINED_CODE = 4001;

/** What went wrong with a wallet, as one sentence that says what to do. */
export class WalletError extends ZmartError {
  /**
   * @param {'declined' | 'closed' | 'wrong_network' | 'no_account' | 'other_account' | 'unable' | 'failed'} kind
   * @param {string} message
   * @param {unknown} [cause]
   */
  constructor(kind, message, cause) {
    super(message, cause);
    this.name = 'WalletError';
    this.kind = kind;
  }
}

/** The wallets of this browser that can sign in on Solana; `change` is told whenever one comes or goes. */
export class StandardWallets extends EventTarget {
  /** @type {any[]} */ list = [];

  /** @param {EventTarget & {dispatchEvent: (event: Event) => boolean}} [target] the window */
  constructor(target = globalThis.window) {
    super();
    const api = Object.freeze({ register: (/** @type {any[]} */ ...wallets) => this.#register(wallets) });
    target.addEventListener('wallet-standard:register-wallet', (event) => {
      /** @type {CustomEvent} */ (event).detail(api);
    });
    target.dispatchEvent(new CustomEvent('wallet-standard:app-ready', { detail: api }));
  }

  /** @param {string} name */
  find(name) {
    return this.list.find((wallet) => wallet.name === name) ?? null;
  }

  /** @param {any[]} wallets */
  #register(wallets) {
    const fit = wallets.filter((wallet) => isUsable(wallet) && !this.list.includes(wallet));
    this.list = [...this.list, ...fit];
    if (fit.length) this.dispatchEvent(new Event('change'));
    return () => {
      this.list = this.list.filter((wallet) => !fit.includes(wallet));
      this.dispatchEvent(new Event('change'));
    };
  }
}

/** @param {any} wallet */
function isUsable({ chains, features }) {
  const onSolana = chains?.some((/** @type {string} */ chain) => chain.startsWith('solana:'));
  return Boolean(onSolana && features?.[CONNECT] && (features[SIGN_IN] || features[SIGN_MESSAGE]));
}

/**
 * Asks a wallet for its account. It may ask its owner; `silent` has it answer without, or not at all.
 * @param {any} wallet
 * @param {string} cluster 'mainnet', 'devnet', 'testnet' or 'localnet'
 * @param {{silent?: boolean}} [options]
 * @returns {Promise<StandardSigner | null>} null: it wants to be asked aloud
 * @throws {WalletError}
 */
export async function connectStandard(wallet, cluster, { silent = false } = {}) {
  const { accounts } = await asked(wallet, () => wallet.features[CONNECT].connect(silent ? { silent: true } : undefined));
  const account = accounts.find((/** @type {any} */ { features }) => features.includes(SIGN_IN) || features.includes(SIGN_MESSAGE)) ?? accounts[0];
  if (account) return new StandardSigner(wallet, account, cluster);
  if (silent) return null;
  throw new WalletError('no_account', `${wallet.name} offers no Solana account. Create or unlock one in the wallet, then connect again.`);
}

/**
 * Signs with an account of a wallet.
 * @implements {Signer}
 */
export class StandardSigner {
  automatic = false;

  /**
   * @param {any} wallet
   * @param {any} account
   * @param {string} cluster
   */
  constructor(wallet, account, cluster) {
    this.wallet = wallet;
    this.account = account;
    this.cluster = cluster;
    this.chain = `solana:${cluster}`;
    this.address = base58Encode(new Uint8Array(account.publicKey));
    const has = (/** @type {string} */ name) => Boolean(wallet.features[name]);
    if (has(SIGN_IN)) this.signIn = (/** @type {any} */ input) => this.#signIn(input);
    if (has(SIGN_TRANSACTION)) this.signTransaction = (/** @type {Uint8Array} */ bytes) => this.#signTransaction(bytes);
    else if (has(SIGN_AND_SEND)) this.sendTransaction = (/** @type {Uint8Array} */ bytes) => this.#sendTransaction(bytes);
  }

  /** @param {any} input what the node hands out for it, without what only describes it */
  async #signIn(input) {
    const { domain, uri, statement, version, chainId, nonce, issuedAt, expirationTime } = input;
    const request = { domain, uri, statement, version, chainId, nonce, issuedAt, expirationTime, address: this.address };
    const [output] = await asked(this.wallet, () => this.wallet.features[SIGN_IN].signIn(request));
    if (base58Encode(new Uint8Array(output.account.publicKey)) !== this.address) {
      throw new WalletError('other_account', `${this.wallet.name} signed in with another account. Choose ${this.address.slice(0, 4)}… in the wallet, or disconnect and connect again.`);
    }
    return { message: new Uint8Array(output.signedMessage), signature: new Uint8Array(output.signature) };
  }

  /**
   * @param {Uint8Array} message
   * @returns {Promise<Uint8Array>}
   */
  async sign(message) {
    const feature = this.wallet.features[SIGN_MESSAGE];
    if (!feature) throw new WalletError('unable', `${this.wallet.name} signs no messages. Connect another wallet for this.`);
    const [output] = await asked(this.wallet, () => feature.signMessage({ account: this.account, message }));
    return new Uint8Array(output.signature);
  }

  /** @param {Uint8Array} bytes */
  async #signTransaction(bytes) {
    const feature = this.wallet.features[SIGN_TRANSACTION];
    const transaction = this.#fitting(bytes, feature);
    const [output] = await asked(this.wallet, () => feature.signTransaction({ account: this.account, transaction, chain: this.chain }));
    return new Uint8Array(output.signedTransaction);
  }

  /** @param {Uint8Array} bytes */
  async #sendTransaction(bytes) {
    const feature = this.wallet.features[SIGN_AND_SEND];
    const transaction = this.#fitting(bytes, feature);
    const [output] = await asked(this.wallet, () => feature.signAndSendTransaction({ account: this.account, transaction, chain: this.chain }));
    return base58Encode(new Uint8Array(output.signature));
  }

  /**
   * The transaction in a version that the wallet takes.
   * @param {Uint8Array} bytes
   * @param {any} feature
   */
  #fitting(bytes, feature) {
    const chains = this.account.chains ?? [];
    if (chains.length && !chains.includes(this.chain)) {
      throw new WalletError('wrong_network', `${this.wallet.name} is set to another network. Switch it to ${this.cluster} in its settings, then try again.`);
    }
    const versions = feature.supportedTransactionVersions ?? ['legacy'];
    return versions.includes('legacy') ? bytes : asVersion0(bytes);
  }

  /**
   * Calls `listener` with the account that is chosen now, or null once there is none.
   * @param {(signer: StandardSigner | null) => void} listener
   * @returns {() => void} stops it
   */
  onChange(listener) {
    const events = this.wallet.features[EVENTS];
    if (!events) return () => {};
    return events.on('change', (/** @type {any} */ { accounts }) => {
      if (!accounts) return;
      const [account] = accounts;
      if (!account) return listener(null);
      listener(new StandardSigner(this.wallet, account, this.cluster));
    });
  }

  async disconnect() {
    await this.wallet.features[DISCONNECT]?.disconnect().catch(() => {});
  }
}

/**
 * Asks a wallet for something, and puts its refusal into words.
 * @param {any} wallet
 * @param {() => Promise<any>} question
 */
async function asked({ name }, question) {
  try {
    return await question();
  } catch (error) {
    throw refusal(name, error);
  }
}

/**
 * @param {string} name
 * @param {any} error
 */
function refusal(name, error) {
  const text = String(error?.message ?? error ?? '').trim();
  if (/\bclosed?\b/i.test(text)) return new WalletError('closed', `The window of ${name} was closed before it was done. Nothing was sent; try again.`, error);
  if (error?.code === DECLINED_CODE || /reject|declin|denied|cancel|refus|dismiss/i.test(text)) {
    return new WalletError('declined', `You declined in ${name}. Nothing was sent.`, error);
  }
  if (/chain|network|cluster/i.test(text)) return new WalletError('wrong_network', `${name} does not work with this network: ${text}`, error);
  return new WalletError('failed', `${name} could not do it${text ? `: ${text.replace(/\.?$/, '.')}` : '.'} Unlock it and try again.`, error);
}

/** @typedef {import('./wallet.js').Signer} Signer */
