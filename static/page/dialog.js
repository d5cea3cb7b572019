import { h } from './dom.js';

/**
 * Asks for a text, such as the reason of an administrative action.
 * @param {{title: string, text?: string, label: string, action: string, least?: number, most?: number, value?: string}} question
 * @returns {Promise<string | null>} null if nothing is to be done
 */
export function ask({ title, text, label, action, least = 1, most = 500, value = '' }) {
  return new Promise((resolve) => {
    const input = h('textarea.input', { required: true, minlength: least, maxlength: most, name: 'answer', value });
    const dialog = /** @type {HTMLDialogElement} */ (
      h('dialog', { 'aria-labelledby': 'dialog-title' },
        h('form', { method: 'dialog' },
          h('h2', { id: 'dialog-title' }, title),
          text ? h('p.muted.small', {}, text) : null,
          h('label.field', {}, h('span', {}, label), input),
          h('div.row', {},
            h('button.button', { type: 'button', onclick: () => dialog.close('') }, 'Not now'),
            h('button.button.primary', { value: 'yes' }, action))))
    );
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes' ? /** @type {HTMLTextAreaElement} */ (input).value.trim() : null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
