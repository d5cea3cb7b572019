import { app } from '../app.js';
import { h, put, say } from '../dom.js';
import { joined } from '../follow.js';
import { words } from '../format.js';
import { announce } from '../notify.js';
import { blank, bones, card, failed, labelCells, table } from '../parts/basics.js';
import { FEED_HEADS, feedRow } from '../parts/feedrow.js';

const SHOWN_MAX = 200;
const FIRST = 50;
const NAMED = 100;
const DRAW_EVERY_MS = 250;
/** So many new lines at once are set off from the others; more would only flicker. */
const FRESH_MAX = 3;
const TYPES = ['market_state', 'trade', 'vote', 'voting_progress', 'discussion', 'claims_enabled'];

/** What the node says about everything, newest first, each message once. It can be filtered, and told to stand still. */
export class LiveFeed {
  /** @param {AbortSignal} signal */
  constructor(signal) {
    this.signal = signal;
    this.shown = new Set(TYPES);
    this.messages = [];
    /** Messages that have come and are not drawn yet, oldest first: till the next drawing, or till the pause ends. */
    this.waiting = [];
    this.paused = false;
    this.soon = joined(() => this.#takeWaiting(), signal, DRAW_EVERY_MS);
    this.list = h('tbody', { role: 'rowgroup' });
    this.holder = h('div', {}, bones(6));
    this.button = h('button.button.slim', { type: 'button', 'aria-pressed': 'false', onclick: () => this.#pause(!this.paused) }, 'Pause');
    this.element = card('Live feed', { tools: h('div.row', {}, this.#filter(), this.button) }, this.holder);
    app.live.listen({ channels: ['votes', 'trades', 'markets'], onMessage: (message) => this.#receive(message), onReset: () => this.#reset() }, signal);
    this.#load();
  }

  async #load() {
    try {
      const [{ events }] = await Promise.all([app.zmart.get('/api/events/latest', { limit: FIRST }, { signal: this.signal }), this.#names()]);
      const known = new Set(events.map(({ offset }) => offset));
      const pushed = this.messages.filter(({ offset }) => !known.has(offset));
      this.messages = [...pushed, ...events].sort((a, b) => b.offset - a.offset).slice(0, SHOWN_MAX);
      this.#draw();
    } catch (error) {
      if (!this.signal.aborted) put(this.holder, failed(error, () => this.#load()));
    }
  }

  /** What the newest markets are called; without it lines show ids. */
  async #names() {
    const found = await app.zmart.get('/api/markets', { limit: NAMED }, { signal: this.signal }).catch(() => ({ markets: [] }));
    app.know(found.markets);
  }

  /** What was missed is gone: the list begins anew rather than hide a gap. */
  #reset() {
    this.messages = [];
    this.waiting = [];
    this.#load();
  }

  #receive(message) {
    // Between the first load and this moment something may have come by.
    if (message.type === 'subscribed') this.#load();
    if (!TYPES.includes(message.type) || message.offset === undefined) return;
    this.waiting.push(message);
    if (this.waiting.length > SHOWN_MAX) this.waiting.shift();
    if (this.paused) say(this.button, `Go on (${this.waiting.length} new)`);
    else this.soon();
  }

  /** Draws what has come, at most a screenful however fast the feed is. */
  #takeWaiting() {
    if (this.paused) return;
    const known = new Set(this.messages.map(({ offset }) => offset));
    const late = this.waiting.filter(({ offset }) => !known.has(offset));
    this.waiting = [];
    const wasEmpty = !this.#visible().length;
    this.messages = [...late.toReversed(), ...this.messages].slice(0, SHOWN_MAX);
    if (wasEmpty) return this.#draw();
    const rows = late.filter(({ type }) => this.shown.has(type)).map((message) => labelCells(feedRow(message, late.length <= FRESH_MAX), FEED_HEADS));
    this.list.prepend(...rows.toReversed());
    while (this.list.children.length > SHOWN_MAX) this.list.lastElementChild.remove();
  }

  #pause(wanted) {
    this.paused = wanted;
    this.button.setAttribute('aria-pressed', String(wanted));
    put(this.button, wanted ? 'Go on' : 'Pause');
    announce(wanted ? 'The feed stands still' : 'The feed goes on');
    this.#takeWaiting();
  }

  #visible() {
    return this.messages.filter(({ type }) => this.shown.has(type));
  }

  #draw() {
    const rows = this.#visible();
    if (!rows.length) return put(this.holder, blank('Nothing has happened yet.', 'Messages appear here as soon as they come.'));
    put(this.list, rows.map((message) => labelCells(feedRow(message), FEED_HEADS)));
    const shell = table('Live feed', FEED_HEADS, [], 'feed steady');
    shell.querySelector('tbody').replaceWith(this.list);
    put(this.holder, shell);
  }

  #filter() {
    return h('div.chips', { role: 'group', 'aria-label': 'Types shown' }, TYPES.map((type) => h('button', {
      type: 'button',
      'aria-pressed': 'true',
      onclick: (event) => this.#toggle(type, event.currentTarget),
    }, words(type))));
  }

  #toggle(type, button) {
    if (!this.shown.delete(type)) this.shown.add(type);
    button.setAttribute('aria-pressed', String(this.shown.has(type)));
    this.#draw();
  }
}
