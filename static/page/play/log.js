import { h } from '../dom.js';
import { time } from '../format.js';
import { card, copyable } from '../parts/basics.js';

const KEPT = 60;

/** What was done, newest first; read out as it happens. */
export class ActionLog {
  constructor() {
    this.list = h('ol', {}, h('li.log-empty', {}, 'What you do appears here, with its signature.'));
    this.empty = true;
    this.element = card('Log', {}, h('div.log', { role: 'log', 'aria-live': 'polite', 'aria-label': 'What was done', tabindex: '0' }, this.list));
  }

  /**
   * @param {string} text
   * @param {string | null} [signature]
   */
  add(text, signature = null) {
    if (this.empty) this.list.replaceChildren();
    this.empty = false;
    const now = new Date().toISOString();
    this.list.prepend(h('li', {}, h('time', { datetime: now }, time(now)), h('span', {}, text, signature ? [' ', copyable(signature)] : null)));
    while (this.list.children.length > KEPT) this.list.lastElementChild.remove();
  }
}
