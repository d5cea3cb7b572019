import { Feed } from '../zmart.js';

/** One WebSocket for the whole page; views say which channels they want while they are open. */
export class Live extends EventTarget {
  /** @param {import('../zmart.js').Zmart} zmart */
  constructor(zmart) {
    super();
    this.zmart = zmart;
    /** @type {Feed | null} */ this.feed = null;
    /** @type {import('../zmart/feed.js').FeedState} */ this.state = 'connecting';
    this.listeners = new Set();
    this.wanted = new Map([['public', 1]]);
    addEventListener('online', () => this.feed?.reconnect());
  }

  start() {
    this.#open(null);
  }

  /** Goes on as somebody else, without losing a message. */
  use(zmart) {
    this.zmart = zmart;
    const offset = this.feed?.offset ?? null;
    this.feed?.close();
    this.#open(offset);
  }

  /**
   * @param {{channels?: string[], onMessage: (message: any) => void, onReset?: () => void}} wish
   * @param {AbortSignal} signal
   */
  listen(wish, signal) {
    if (signal.aborted) return;
    this.listeners.add(wish);
    for (const channel of wish.channels ?? []) this.#want(channel);
    signal.addEventListener('abort', () => {
      this.listeners.delete(wish);
      for (const channel of wish.channels ?? []) this.#release(channel);
    });
  }

  #open(from) {
    this.feed = new Feed(this.zmart, {
      channels: [...this.wanted.keys()],
      from,
      onMessage: (message) => this.#deliver(message),
      onReset: () => this.#reset(),
      onState: (state) => this.#become(state),
    });
  }

  #want(channel) {
    const users = this.wanted.get(channel) ?? 0;
    this.wanted.set(channel, users + 1);
    if (users === 0) this.feed?.subscribe([channel]);
  }

  #release(channel) {
    const users = (this.wanted.get(channel) ?? 1) - 1;
    if (users > 0) return void this.wanted.set(channel, users);
    this.wanted.delete(channel);
    this.feed?.unsubscribe([channel]);
  }

  #deliver(message) {
    for (const { onMessage } of this.listeners) onMessage(message);
  }

  /** What was missed is lost: every view loads its data again. */
  #reset() {
    for (const { onReset } of this.listeners) onReset?.();
  }

  #become(state) {
    this.state = state;
    this.dispatchEvent(new Event('state'));
  }
}
