import { app } from '../app.js';
import { h, put } from '../dom.js';
import { words } from '../format.js';
import { announce } from '../notify.js';
import { blank, bones, card, failed } from '../parts/basics.js';
import { feedRow } from '../parts/feedrow.js';

const SHOWN_MAX = 200;
const FIRST = 50;
const TYPES = ['market_state', 'trade', 'vote', 'voting_progress', 'discussion', 'claims_enabled'];

/** What the node says about everything, newest first, each message once. It can be filtered, and told to stand still. */
export class LiveFeed {
  /** @param {AbortSignal} signal */
  constructor(signal) {
    this.signal = signal;
    this.shown = new Set(TYPES);
    this.messages = [];
    this.waiting = [];
    this.paused = false;
    this.list = h('tbody');
    this.holder = h('div', {}, bones(6));
    this.button = h('button.button.slim', { type: 'button', 'aria-pressed': 'false', onclick: () => this.#pause(!this.paused) }, 'Pause');
    this.element = card('Live feed', { tools: h('div.row', {}, this.#filter(), this.button) }, this.holder);
    app.live.listen({ channels: ['votes', 'trades', 'markets'], onMessage: (message) => this.#receive(message), onReset: () => this.#reset() }, signal);
    this.#load();
  }

  async #load() {
    try {
      const { events } = await app.zmart.get('/api/events/latest', { limit: FIRST }, { signal: this.signal });
      const known = new Set(events.map(({ offset }) => offset));
      const pushed = this.messages.filter(({ offset }) => !known.has(offset));
      this.messages = [...pushed, ...events].sort((a, b) => b.offset - a.offset);
      this.#draw();
    } catch (error) {
      if (!this.signal.aborted) put(this.holder, failed(error, () => this.#load()));
    }
  }

  /** What was missed is gone: the list begins anew rather than hide a gap. */
  #reset() {
    this.messages = [];
    this.#load();
  }

  #receive(message) {
    // Between the first load and this moment something may have come by.
    if (message.type === 'subscribed') this.#load();
    if (!TYPES.includes(message.type) || message.offset === undefined) return;
    if (this.messages.some(({ offset }) => offset === message.offset)) return;
    if (this.paused) this.#keep(message);
    else this.#add(message);
  }

  #keep(message) {
    this.waiting = [...this.waiting, message].slice(-SHOWN_MAX);
    put(this.button, `Go on (${this.waiting.length} new)`);
  }

  #add(message) {
    const wasEmpty = !this.#visible().length;
    this.messages = [message, ...this.messages].slice(0, SHOWN_MAX);
    if (wasEmpty) return this.#draw();
    if (!this.shown.has(message.type)) return;
    this.list.prepend(feedRow(message, true));
    while (this.list.children.length > SHOWN_MAX) this.list.lastElementChild.remove();
  }

  #pause(wanted) {
    this.paused = wanted;
    this.button.setAttribute('aria-pressed', String(wanted));
    put(this.button, wanted ? 'Go on' : 'Pause');
    announce(wanted ? 'The feed stands still' : 'The feed goes on');
    if (wanted) return;
    const late = this.waiting;
    this.waiting = [];
    for (const message of late) this.#add(message);
  }

  #visible() {
    return this.messages.filter(({ type }) => this.shown.has(type));
  }

  #draw() {
    const rows = this.#visible();
    if (!rows.length) return put(this.holder, blank('Nothing has happened yet.', 'Messages appear here as soon as they come.'));
    put(this.list, rows.map((message) => feedRow(message)));
    put(this.holder, h('div.table-wrap', { tabindex: '0', role: 'region', 'aria-label': 'Live feed' },
      h('table.feed', {},
        h('caption.hidden', {}, 'Live feed, newest first'),
        h('thead', {}, h('tr', {}, ['Time', 'Type', 'What'].map((title) => h('th', { scope: 'col' }, title)), h('th.end', { scope: 'col' }, 'Offset'))),
        this.list)));
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
