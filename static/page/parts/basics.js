import { app } from '../app.js';
import { h } from '../dom.js';
import { address, words } from '../format.js';
import { complain, toast } from '../notify.js';

/** Small parts: cards, badges, buttons that work on something, empty and loading states. */

/**
 * @param {string} title
 * @param {{note?: import('../dom.js').Child, tools?: import('../dom.js').Child, level?: number}} head
 * @param {...import('../dom.js').Child} body
 */
export function card(title, { note = null, tools = null } = {}, ...body) {
  return h('section.card', { 'aria-label': title },
    h('div.card-head', {}, h('h2', {}, title), note ? h('p', {}, note) : null, tools),
    ...body);
}

/** A place for the reading of something that is on its way. */
export const bones = (lines = 3) => h('div.bones', { 'aria-hidden': 'true' }, Array.from({ length: lines }, () => h('i')));

export const blank = (title, text = '', ...more) => h('div.blank', {}, h('strong', {}, title), text, ...more);

/**
 * What stands in for data that could not be loaded. It tries again by itself when the connection is back.
 * @param {unknown} error
 * @param {() => unknown} retry
 */
export function failed(error, retry) {
  const element = h('div.blank', { role: 'alert' },
    h('strong', {}, 'This could not be loaded.'),
    error instanceof Error ? error.message : String(error),
    h('div', {}, h('button.button', { type: 'button', onclick: retry }, 'Try again')));
  const listening = new AbortController();
  app.live.addEventListener('state', () => {
    if (app.live.state !== 'open') return;
    listening.abort();
    if (element.isConnected) retry();
  }, { signal: listening.signal });
  return element;
}

const STATE_KINDS = { ACTIVE: 'ok', APPROVED: 'accent', RESOLVING: 'warn', DISPUTED: 'bad' };

export const stateBadge = (state) => h('span.badge', { class: STATE_KINDS[state] ?? '' }, words(state));
export const badge = (text, kind = '') => h('span.badge', { class: kind }, text);
export const outcomeBadge = (outcome) => h('span.badge', { class: outcome === 'YES' ? 'yes' : outcome === 'NO' ? 'no' : '' }, outcome);
export const dot = (kind) => h('span.dot', { class: kind, 'aria-hidden': 'true' });

/** A text that is copied by a click. */
export function copyable(text, shown = address(text), what = 'Copied') {
  if (!text) return h('span.muted', {}, '–');
  return h('button.copy', {
    type: 'button',
    title: text,
    onclick: async () => {
      try {
        await navigator.clipboard.writeText(text);
        toast(`${what}: ${shown}`);
      } catch {
        toast(text);
      }
    },
  }, h('span.hidden', {}, 'Copy '), shown);
}

/**
 * A button that shows that it works, works once at a time, and says what went wrong.
 * @param {string} label
 * @param {(button: HTMLButtonElement) => Promise<unknown>} work
 * @param {Record<string, any>} [attributes]
 */
export function worker(label, work, { kind = '', ...attributes } = {}) {
  const button = /** @type {HTMLButtonElement} */ (h('button.button', { type: 'button', class: kind, ...attributes }, label));
  button.addEventListener('click', async () => {
    if (button.ariaBusy === 'true') return;
    button.ariaBusy = 'true';
    try {
      await work(button);
    } catch (error) {
      complain(error);
    } finally {
      button.ariaBusy = null;
    }
  });
  return button;
}

/**
 * One of several, as a row of buttons.
 * @param {string} label for screen readers
 * @param {[string, string][]} options value and text
 * @param {string} value
 * @param {(value: string) => void} onChoose
 */
export function choice(label, options, value, onChoose) {
  const group = h('div.choice', { role: 'group', 'aria-label': label });
  for (const [each, text] of options) {
    group.append(h('button', {
      type: 'button',
      'aria-pressed': String(each === value),
      'data-value': each,
      onclick: (event) => {
        for (const other of group.children) other.setAttribute('aria-pressed', String(other === event.currentTarget));
        onChoose(each);
      },
    }, text));
  }
  return group;
}

/**
 * @typedef {string | [string, string]} Head text, or text and classes for the column: `end` puts it at the end, `spare`
 *   leaves it out where there is little room
 */

/**
 * @param {string} caption for screen readers
 * @param {Head[]} heads
 * @param {import('../dom.js').Child[]} rows
 * @param {string} [kind] `steady`: columns keep their width whatever the cells hold; `cards`: on narrow screens each row
 *   becomes a block with the heads beside its values
 */
export function table(caption, heads, rows, kind = '') {
  const body = /** @type {HTMLTableSectionElement} */ (h('tbody', { role: 'rowgroup' }, rows));
  for (const row of body.rows) labelCells(row, heads);
  return h('div.table-wrap', { tabindex: '0', role: 'region', 'aria-label': `${caption}, as a table` },
    h('table', { class: kind, role: 'table' },
      h('caption.hidden', {}, caption),
      h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, heads.map((head) => {
        const [text, classes] = parts(head);
        return h('th', { scope: 'col', role: 'columnheader', class: classes }, text || h('span.hidden', {}, 'Actions'));
      }))),
      body));
}

/**
 * Tells the cells of a row which columns they belong to.
 * @param {HTMLTableRowElement} row
 * @param {Head[]} heads
 */
export function labelCells(row, heads) {
  row.setAttribute('role', 'row');
  for (const [i, each] of [...row.cells].entries()) {
    const [text, classes] = parts(heads[i]);
    each.setAttribute('role', 'cell');
    each.dataset.label = text;
    if (classes) each.classList.add(...classes.split(' '));
  }
  return row;
}

const parts = (head) => (Array.isArray(head) ? head : [head, '']);

export const cell = (...children) => h('td', {}, ...children);
export const endCell = (...children) => h('td.end', {}, ...children);

/** @param {[import('../dom.js').Child, import('../dom.js').Child][]} pairs */
export const facts = (pairs) => h('dl.facts', {}, pairs.map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]));
