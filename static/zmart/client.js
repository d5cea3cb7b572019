import { Backoff, pause } from './backoff.js';
import { base58Encode, base64Decode, base64Encode } from './encoding.js';
import { ApiError, NetworkError, ZmartError, errorOf } from './errors.js';
import { Feed } from './feed.js';
import { stream } from './sse.js';
import { signTransaction } from './transaction.js';

/** @typedef {import('./wallet.js').Signer} Signer */
/** @typedef {import('./feed.js').FeedOptions} FeedOptions */
/** @typedef {import('./sse.js').StreamOptions} StreamOptions */

/**
 * @typedef {object} Session
 * @property {string} token
 * @property {string} wallet
 * @property {'user' | 'admin'} role
 * @property {number} expiresAtMs
 */

/**
 * @typedef {object} Landed
 * @property {string} signature
 * @property {'confirmed' | 'finalized'} status
 * @property {number} slot
 * @property {boolean} indexed
 * @property {string} [market_id]
 * @property {any[]} events
 */

const REFRESH_BEFORE_MS = 60_000;
const RELAY_DEADLINE_MS = 120_000;
const SENT_PAUSE_MS = 1_000;
const SESSION_ENDED = new Set(['expired', 'revoked', 'bad_signature', 'bad_message']);

/** A node's REST API, with a session if somebody signed in. */
export class Zmart {
  /**
   * @param {string} url the node's address, such as 'http://127.0.0.1:4000'; '' means the page's own
   * @param {{fetch?: typeof fetch, WebSocket?: typeof WebSocket}} [options] for environments that lack them
   */
  constructor(url = '', options = {}) {
    const own = globalThis.location?.origin ?? '';
    this.url = (url || own).replace(/\/+$/, '');
    this.fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
    this.WebSocket = options.WebSocket ?? globalThis.WebSocket;
    /** @type {Session | null} */ this.session = null;
    /** @type {Signer | null} */ this.wallet = null;
  }

  /** @type {Promise<Session> | null} */ #signingIn = null;

  // Requests

  /**
   * @param {string} path
   * @param {Record<string, unknown>} [query] null and undefined are left out
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<any>}
   */
  get(path, query = {}, options = {}) {
    const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== '');
    const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
    return this.#request('GET', search ? `${path}?${search}` : path, undefined, options.signal);
  }

  /**
   * @param {string} path
   * @param {object} [body]
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<any>}
   */
  post(path, body = {}, options = {}) {
    return this.#request('POST', path, body, options.signal);
  }

  /**
   * @param {string} path
   * @returns {Promise<any>}
   */
  delete(path) {
    return this.#request('DELETE', path, undefined);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {object | undefined} body
   * @param {AbortSignal} [signal]
   */
  async #request(method, path, body, signal) {
    const session = await this.#freshSession();
    try {
      return await this.#send(method, path, body, session, signal);
    } catch (error) {
      if (!session || !(error instanceof ApiError) || error.status !== 401 || !SESSION_ENDED.has(error.reason ?? '')) throw error;
      this.session = null;
      if (!this.wallet?.automatic) throw error;
      return this.#send(method, path, body, await this.signIn(this.wallet), signal);
    }
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {object | undefined} body
   * @param {Session | null} session
   * @param {AbortSignal} [signal]
   */
  async #send(method, path, body, session, signal) {
    /** @type {Record<string, string>} */
    const headers = { Accept: 'application/json' };
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    if (session) headers.Authorization = `Bearer ${session.token}`;
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const response = await this.#reach(path, { method, headers, body: payload, signal });
    if (!response.ok) throw await errorOf(response);
    return response.json();
  }

  /**
   * @param {string} path
   * @param {RequestInit} init
   */
  async #reach(path, init) {
    try {
      return await this.fetch(this.url + path, init);
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new NetworkError('The node cannot be reached.', error);
    }
  }

  // Signing in

  /**
   * Sign-In With Solana. The session is renewed by itself if the wallet signs without asking a person.
   * @param {Signer} wallet
   * @returns {Promise<Session>}
   */
  signIn(wallet) {
    this.wallet = wallet;
    this.#signingIn ??= this.#login(wallet).finally(() => {
      this.#signingIn = null;
    });
    return this.#signingIn;
  }

  /**
   * @param {Signer} wallet
   * @returns {Promise<Session>}
   */
  async #login(wallet) {
    const offered = await this.#send('GET', `/api/auth/nonce?wallet=${wallet.address}`, undefined, null);
    const body = { ...(await signedText(wallet, offered)), wallet: wallet.address };
    const answer = await this.#send('POST', '/api/auth/login', body, null);
    const expiresAtMs = Date.now() + answer.expires_in * 1000;
    this.session = { token: answer.token, wallet: answer.wallet, role: answer.role, expiresAtMs };
    return this.session;
  }

  /** Ends the session, here and on the node. */
  async signOut() {
    const session = this.session;
    this.session = null;
    this.wallet = null;
    if (session) await this.#send('POST', '/api/auth/logout', {}, session);
  }

  /** @returns {Promise<Session | null>} */
  async #freshSession() {
    const { session, wallet } = this;
    if (!session || session.expiresAtMs - Date.now() > REFRESH_BEFORE_MS) return session;
    if (wallet?.automatic) return this.signIn(wallet);
    return session.expiresAtMs > Date.now() ? session : null;
  }

  /** A ticket that opens one connection as the signed-in wallet, within 30 s; null without a session. */
  async ticket() {
    if (!this.session) return null;
    return /** @type {string} */ ((await this.post('/api/auth/ticket')).ticket);
  }

  // Transactions

  /**
   * Asks for a transaction, signs it, has it sent, and waits until the node has indexed it.
   * @param {string} path such as '/api/trades/buy'
   * @param {object} [body]
   * @param {Signer | null} [wallet] the signed-in one unless given
   * @returns {Promise<{built: any, landed: Landed | null}>} `landed` is null where nothing had to be signed
   */
  async act(path, body = {}, wallet = this.wallet) {
    if (!wallet) throw new TypeError('sign in first');
    const built = await this.post(path, body);
    return { built, landed: built.transaction ? await this.sendBuilt(built, wallet) : null };
  }

  /**
   * Has what a call has built signed and sent, and waits until the node has indexed it.
   * @param {any} built
   * @param {Signer | null} [wallet] the signed-in one unless given
   * @returns {Promise<Landed>}
   */
  async sendBuilt(built, wallet = this.wallet) {
    if (!wallet) throw new TypeError('sign in first');
    if (wallet.sendTransaction && !wallet.signTransaction) {
      return this.follow(await wallet.sendTransaction(base64Decode(built.transaction.transaction)));
    }
    return this.relay(await signTransaction(built.transaction.transaction, wallet));
  }

  /**
   * Has signed bytes sent. Repeating is safe, so broken connections and restarts of the node are passed over.
   * @param {string} transaction base64
   * @returns {Promise<Landed>}
   */
  async relay(transaction) {
    const deadline = Date.now() + RELAY_DEADLINE_MS;
    const backoff = new Backoff();
    for (;;) {
      const answer = await this.#tryRelay(transaction, deadline);
      if (answer?.indexed) return answer;
      const failed = answer === null;
      if (!failed && Date.now() > deadline) throw new NetworkError('The transaction was not confirmed in time.');
      await pause(failed ? backoff.next() : SENT_PAUSE_MS);
    }
  }

  /**
   * @param {string} transaction
   * @param {number} deadline
   * @returns {Promise<any>} null: worth another try
   */
  async #tryRelay(transaction, deadline) {
    try {
      return await this.post('/api/transactions', { transaction });
    } catch (error) {
      if (!isPassing(error) || Date.now() > deadline) throw error;
      return null;
    }
  }

  /**
   * Waits until the node has indexed a transaction that a wallet has sent by itself.
   * @param {string} signature
   * @returns {Promise<Landed>}
   */
  async follow(signature) {
    const deadline = Date.now() + RELAY_DEADLINE_MS;
    for (;;) {
      const answer = await this.get(`/api/transactions/${signature}`).catch((error) => {
        if (!isPassing(error) && error.status !== 404) throw error;
        return null;
      });
      if (answer?.err) throw new ZmartError('The network refused the transaction. Nothing but its fee was taken.');
      if (answer?.indexed) return answer;
      if (Date.now() > deadline) throw new NetworkError('The transaction was not confirmed in time.');
      await pause(SENT_PAUSE_MS);
    }
  }

  // Live

  /**
   * Messages over a WebSocket that reconnects and resumes by itself.
   * @param {FeedOptions} options
   * @returns {Feed}
   */
  connect(options) {
    return new Feed(this, options);
  }

  /**
   * Messages as server-sent events: `for await (const message of zmart.stream({channels: ['public']}))`. It reconnects
   * and resumes by itself until the loop is left or `signal` aborts.
   * @param {StreamOptions} [options]
   */
  stream(options = {}) {
    return stream(this, options);
  }
}

/** @param {unknown} error */
const isPassing = (error) => error instanceof NetworkError || (error instanceof ApiError && error.status === 503);

/**
 * What a wallet has signed to sign in: the text that the node made, or one that the wallet made itself.
 * @param {Signer} wallet
 * @param {any} offered
 */
async function signedText(wallet, offered) {
  if (wallet.signIn) {
    const { message, signature } = await wallet.signIn(offered);
    return { signedMessage: base64Encode(message), signature: base58Encode(signature) };
  }
  const signature = await wallet.sign(new TextEncoder().encode(offered.message));
  return { message: offered.message, signature: base58Encode(signature) };
}
