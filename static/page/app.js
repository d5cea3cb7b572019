import { Zmart } from '../zmart.js';
import { Live } from './live.js';
import { follow } from './follow.js';

/** What all views share: the client, the live feed, the node's status, and who is signed in as administrator. */

const STATUS_EVERY_MS = 2_000;
const HISTORY = 90;
const PASSING_MAX_MS = 10_000;
const TITLES_MAX = 1_000;
const NEWEST = 100;
const CLUSTERS_TO_PLAY = new Set(['localnet', 'devnet']);

class App extends EventTarget {
  zmart = new Zmart();
  live = new Live(this.zmart);
  /** The last /status, null before the first. */
  status = null;
  /** Whether the last question for it was answered. */
  reachable = true;
  /** The last minutes of what the charts show, oldest first. */
  history = [];
  /** @type {any} */ protocol = null;
  /** @type {any} what the embedded devnet says of itself; null where there is none */
  devnet = null;
  /** @type {Zmart | null} */ admin = null;
  #chainOffsetMs = 0;
  /** @type {{database: string, genesis: string | null} | null} */ #instance = null;
  /** @type {Promise<unknown> | null} */ #newest = null;
  /** @type {Map<string, Promise<unknown>>} names that are being looked up, or were, by id */ #asked = new Map();
  /** @type {Map<string, string>} questions of markets met lately, by id */ #titles = new Map();

  async start() {
    follow((signal) => this.#readStatus(signal), STATUS_EVERY_MS);
    this.live.listen({ onMessage: ({ data }) => data?.market && this.know([data.market]) }, new AbortController().signal);
    await this.refreshProtocol();
    this.live.start();
  }

  async #readStatus(signal) {
    try {
      this.status = await this.zmart.get('/status', {}, { signal });
      this.reachable = true;
    } catch (error) {
      if (signal.aborted) throw error;
      this.reachable = false;
      this.dispatchEvent(new Event('status'));
      throw error;
    }
    if (this.#isAnother(this.status)) this.dispatchEvent(new Event('replaced'));
    if (this.status.chain_time) this.setChainTime(this.status.chain_time);
    this.history = [...this.history, sample(this.status)].slice(-HISTORY);
    if (this.protocol === null) await this.refreshProtocol();
    this.dispatchEvent(new Event('status'));
  }

  /** Whether another database or chain answers than did when the page was opened. */
  #isAnother({ database_id: database, genesis_hash: genesis }) {
    const before = this.#instance;
    this.#instance = { database, genesis: genesis ?? before?.genesis ?? null };
    return before !== null && (before.database !== database || (before.genesis !== null && before.genesis !== this.#instance.genesis));
  }

  /** The program's configuration, and whether a devnet can be driven. Known at once: views that find the one rely on the other. */
  async refreshProtocol() {
    const protocol = await this.zmart.get('/api/protocol').catch(() => null);
    const devnet = protocol?.cluster === 'localnet' ? await this.zmart.get('/api/devnet').catch(() => null) : null;
    Object.assign(this, { protocol, devnet });
    this.dispatchEvent(new Event('protocol'));
  }

  /** Remembers what markets are called, so that messages that only carry an id can be told with a name. */
  know(markets) {
    for (const { market_id: id, title } of markets) {
      this.#titles.delete(id);
      this.#titles.set(id, title);
    }
    for (const id of this.#titles.keys()) {
      if (this.#titles.size <= TITLES_MAX) break;
      this.#titles.delete(id);
    }
  }

  /** @param {string} id */
  nameOf(id) {
    return this.#titles.get(id) ?? `Market ${id.slice(0, 8)}`;
  }

  /**
   * Has a market's name looked up if it is not known: with the newest ones at once, else by itself. It never fails; a
   * market without a name keeps that of its id.
   * @param {string} id
   * @returns {Promise<unknown>}
   */
  learn(id) {
    if (this.#titles.has(id)) return Promise.resolve();
    const client = this.admin ?? this.zmart;
    this.#newest ??= client.get('/api/markets', { limit: NEWEST }).then(({ markets }) => this.know(markets)).catch(() => {});
    const known = this.#asked.get(id) ?? this.#newest.then(() => (this.#titles.has(id) ? null : client.get(`/api/markets/${id}`).then((market) => this.know([market])).catch(() => {})));
    this.#asked.set(id, known);
    for (const old of this.#asked.keys()) {
      if (this.#asked.size <= TITLES_MAX) break;
      this.#asked.delete(old);
    }
    return known;
  }

  /** Which cluster the node works on; undefined before it has said so. */
  get cluster() {
    return this.status?.cluster ?? this.protocol?.cluster;
  }

  /** Whether this cluster is for playing: its money is worth nothing. */
  get isPlayable() {
    return CLUSTERS_TO_PLAY.has(this.cluster);
  }

  /** Unix milliseconds by the chain's clock, which decides about markets. */
  chainNowMs() {
    return Date.now() + this.#chainOffsetMs;
  }

  /** Resolves once the node has seen the chain's clock pass this time, or after ten seconds. */
  chainPasses(iso) {
    const passed = () => Date.parse(this.status?.chain_time ?? '') > Date.parse(iso);
    return new Promise((resolve) => {
      const done = new AbortController();
      setTimeout(() => done.abort(), PASSING_MAX_MS);
      done.signal.addEventListener('abort', () => resolve(undefined));
      this.watch('status', done.signal, () => passed() && done.abort());
    });
  }

  /** @param {string} iso what the chain's clock shows just now */
  setChainTime(iso) {
    this.#chainOffsetMs = Date.parse(iso) - Date.now();
  }

  /** @param {Zmart | null} client signed in as an administrator */
  setAdmin(client) {
    this.admin = client;
    this.live.use(client ?? this.zmart);
    this.dispatchEvent(new Event('admin'));
  }

  /** Calls `listener` now and on every such event, until `signal` aborts. */
  watch(name, signal, listener) {
    this.addEventListener(name, listener, { signal });
    listener();
  }
}

/** The figures of a status that are worth a chart. */
function sample(status) {
  return {
    at: Date.now(),
    slot: status.slot.chain,
    lag: status.slot.lag,
    head: status.feed.head,
    connections: status.push.websocket + status.push.sse,
  };
}

export const app = new App();
