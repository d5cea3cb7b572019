import { Backoff } from './backoff.js';
import { ApiError } from './errors.js';

/** @typedef {import('./client.js').Zmart} Zmart */

/**
 * What arrives: a message of the feed, a confirmation, or an error.
 * @typedef {object} Message
 * @property {string} type        'trade', 'market_state', 'vote', …
 * @property {string} timestamp   ISO 8601
 * @property {any} data
 * @property {string} [market_id]
 * @property {number} [offset]    its place in the feed
 */

/** @typedef {'connecting' | 'open' | 'waiting' | 'closed'} FeedState */

/**
 * @typedef {object} FeedOptions
 * @property {string[]} [channels]                    such as 'public', 'market:<id>', 'user:<wallet>'
 * @property {number | null} [from]                   resume after this offset
 * @property {(message: Message) => void} onMessage   everything but `reset`, in order
 * @property {(head: number, reason: string) => void} [onReset]  what was missed is lost: load everything again
 * @property {(state: FeedState) => void} [onState]
 */

const CHANNELS_PER_MESSAGE = 50;
/** Channels that only a signed-in wallet may ask for; one of them would have the whole request refused. */
const PRIVATE = /^(user[:_]|alerts$)/;
const TOO_MANY = 4029;
const BUSY_PAUSE_MS = 30_000;

/** A WebSocket that comes back, and then gets exactly what it missed. */
export class Feed {
  /**
   * @param {Zmart} zmart
   * @param {FeedOptions} options
   */
  constructor(zmart, { channels = [], from = null, onMessage, onReset = () => {}, onState = () => {} }) {
    if (!zmart.WebSocket) throw new TypeError('no WebSocket here: give one to new Zmart(url, {WebSocket})');
    this.#zmart = zmart;
    this.channels = new Set(channels);
    /** The largest offset seen: keep it to resume later. */
    this.offset = from;
    /** @type {FeedState} */ this.state = 'closed';
    this.#handlers = { onMessage, onReset, onState };
    this.#open();
  }

  /** @type {Zmart} */ #zmart;
  /** @type {{onMessage: (m: Message) => void, onReset: (h: number, r: string) => void, onState: (s: FeedState) => void}} */
  #handlers;
  /** @type {WebSocket | null} */ #socket = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #backoff = new Backoff();
  #attempt = 0;
  #ready = false;
  #identified = false;
  #closed = false;

  /** @param {string[]} channels a snapshot of each comes first */
  subscribe(channels) {
    const added = channels.filter((name) => !this.channels.has(name));
    for (const name of added) this.channels.add(name);
    if (this.#ready) this.#sendChannels('subscribe', added);
  }

  /** @param {string[]} channels */
  unsubscribe(channels) {
    const removed = channels.filter((name) => this.channels.delete(name));
    if (this.#ready) this.#sendChannels('unsubscribe', removed);
  }

  /** Connects anew: after signing in or out, or when the network is back. */
  reconnect() {
    if (this.#closed) return;
    this.#drop();
    this.#backoff.reset();
    this.#open();
  }

  /** Ends the connection for good. */
  close() {
    this.#closed = true;
    this.#drop();
    this.#become('closed');
  }

  async #open() {
    const attempt = ++this.#attempt;
    this.#become('connecting');
    const ticket = await this.#ticket();
    if (this.#closed || attempt !== this.#attempt) return;
    this.#identified = ticket !== null;
    const url = new URL(`${this.#zmart.url}/ws`);
    url.protocol = url.protocol.replace('http', 'ws');
    if (ticket) url.searchParams.set('ticket', ticket);
    const socket = new this.#zmart.WebSocket(url);
    this.#socket = socket;
    socket.onmessage = (event) => this.#receive(socket, JSON.parse(event.data));
    socket.onclose = (event) => this.#lost(socket, event.code);
    socket.onerror = () => {};
  }

  /** Without a session, or when it has just ended, the connection is made as nobody. */
  async #ticket() {
    try {
      return await this.#zmart.ticket();
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) this.#zmart.session = null;
      return null;
    }
  }

  /**
   * @param {WebSocket} socket
   * @param {Message} message
   */
  #receive(socket, message) {
    if (socket !== this.#socket) return;
    if (message.type === 'welcome') this.#greet();
    if (message.type === 'subscribed' && this.offset === null) this.offset = message.data.head;
    if (message.type === 'reset') {
      this.offset = message.data.head;
      this.#handlers.onReset(message.data.head, message.data.reason);
      return;
    }
    if (message.offset !== undefined) this.offset = Math.max(this.offset ?? 0, message.offset);
    this.#handlers.onMessage(message);
  }

  #greet() {
    this.#ready = true;
    this.#backoff.reset();
    const channels = [...this.channels].filter((name) => this.#identified || !PRIVATE.test(name));
    if (channels.length && this.offset !== null) {
      const first = channels.splice(0, CHANNELS_PER_MESSAGE);
      this.#send({ action: 'resume', from: this.offset, channels: first });
    }
    this.#sendChannels('subscribe', channels);
    this.#become('open');
  }

  /**
   * @param {'subscribe' | 'unsubscribe'} action
   * @param {string[]} channels
   */
  #sendChannels(action, channels) {
    for (let i = 0; i < channels.length; i += CHANNELS_PER_MESSAGE) {
      this.#send({ action, channels: channels.slice(i, i + CHANNELS_PER_MESSAGE) });
    }
  }

  /** @param {object} message */
  #send(message) {
    this.#socket?.send(JSON.stringify(message));
  }

  /**
   * @param {WebSocket} socket
   * @param {number} code
   */
  #lost(socket, code) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    this.#ready = false;
    if (this.#closed) return;
    this.#become('waiting');
    const wait = code === TOO_MANY ? BUSY_PAUSE_MS : this.#backoff.next();
    this.#timer = setTimeout(() => this.#open(), wait);
  }

  #drop() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    this.#ready = false;
    socket?.close();
  }

  /** @param {FeedState} state */
  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.#handlers.onState(state);
  }
}
