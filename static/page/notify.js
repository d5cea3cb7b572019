import { ApiError } from '../zmart.js';
import { h, say } from './dom.js';

/** Short messages for people; also read out by screen readers. */

const SHOWN_MS = 6_000;
const SHOWN_MAX = 4;

/**
 * @param {string} text
 * @param {'' | 'ok' | 'bad'} kind
 */
export function toast(text, kind = '') {
  const box = /** @type {HTMLElement} */ (document.getElementById('toasts'));
  const element = h('div.toast', { class: kind }, text);
  box.append(element);
  while (box.children.length > SHOWN_MAX) box.firstElementChild?.remove();
  setTimeout(() => element.remove(), SHOWN_MS);
}

/** Says something to screen readers only. */
export function announce(text) {
  say(/** @type {HTMLElement} */ (document.getElementById('announcer')), text);
}

/** One sentence for whatever was thrown. */
export function explain(error) {
  if (error instanceof ApiError) {
    const fields = error.fields.map(({ field, message }) => `${field} ${message}`).join('; ');
    const name = error.programError?.name;
    return [error.message, fields, name && !error.message.includes(name) ? `(${name})` : ''].filter(Boolean).join(' ');
  }
  return error instanceof Error ? error.message : String(error);
}

/** Shows what was thrown, unless it only says that somebody went on. */
export function complain(error) {
  if (error instanceof DOMException && error.name === 'AbortError') return;
  toast(explain(error), 'bad');
}
