import { h } from './dom.js';

/** Dialogs: the browser's own, so that focus and Escape work as everywhere. */

let opened = 0;

/**
 * Shows something in a dialog until it is closed.
 * @param {string} title
 * @param {import('./dom.js').Child} content
 * @param {{action?: string, kind?: string}} [choice] `action`: the word on the button that says yes; without it there is
 *   only one to close
 * @returns {Promise<boolean>} whether that button was pressed
 */
export function show(title, content, { action, kind = '' } = {}) {
  return new Promise((resolve) => {
    const id = `dialog-${++opened}`;
    const dialog = /** @type {HTMLDialogElement} */ (
      h('dialog', { 'aria-labelledby': id, class: kind },
        h('form', { method: 'dialog' },
          h('h2', { id }, title),
          content,
          h('div.row', {},
            h('button.button', { type: 'button', 'data-do': 'close', autofocus: !action, onclick: () => dialog.close('') }, action ? 'Not now' : 'Close'),
            action ? h('button.button.primary', { value: 'yes' }, action) : null)))
    );
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes');
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/**
 * A dialog to be filled, which closes by its own button, Escape, or a click beside it.
 * @param {string} title
 * @param {string} [kind] 'sheet' comes up from the bottom on a phone
 */
export function panel(title, kind = '') {
  const id = `dialog-${++opened}`;
  const body = h('div.dialog-body.stack-s');
  const dialog = /** @type {HTMLDialogElement} */ (
    h('dialog', { 'aria-labelledby': id, class: kind },
      h('div.dialog-head', {}, h('h2', { id }, title), h('button.button.quiet.square', { type: 'button', 'data-do': 'close', 'aria-label': 'Close', onclick: () => dialog.close() }, '✕')),
      body));
  const closed = new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(undefined);
    });
  });
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
  // Whatever is opened from it leads elsewhere.
  addEventListener('hashchange', () => dialog.close(), { once: true });
  document.body.append(dialog);
  dialog.showModal();
  return { body, close: () => dialog.close(), closed };
}

/**
 * Asks for a text, such as the reason of an administrative action.
 * @param {{title: string, text?: string, label: string, action: string, least?: number, most?: number, value?: string}} question
 * @returns {Promise<string | null>} null if nothing is to be done
 */
export async function ask({ title, text, label, action, least = 1, most = 500, value = '' }) {
  const input = textField({ least, most, value });
  const content = [text ? h('p.muted.small.wraps', {}, text) : null, h('label.field', {}, h('span', {}, label), input)];
  return (await show(title, content, { action })) ? input.value.trim() : null;
}

/** Why an administrator does something: the audit log keeps it. */
export const askReason = (title, action, text = '') => ask({ title, text, label: 'Reason, for the audit log', action, least: 3 });

/**
 * @param {{least: number, most?: number, value?: string}} limits
 * @returns {HTMLTextAreaElement}
 */
export function textField({ least, most = 500, value = '' }) {
  return /** @type {HTMLTextAreaElement} */ (h('textarea.input', { required: true, minlength: least, maxlength: most, name: 'answer', value }));
}
