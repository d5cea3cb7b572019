import { h } from '../dom.js';

/**
 * A line that unfolds. What is behind it is made when somebody looks: most lines of a fast feed are never opened.
 * @param {import('../dom.js').Child} summary
 * @param {() => import('../dom.js').Child} content
 */
export function unfolding(summary, content) {
  const details = /** @type {HTMLDetailsElement} */ (h('details', {}, h('summary', {}, summary)));
  details.addEventListener('toggle', () => {
    const inside = h('div.stack-s', {}, content());
    details.append(inside);
  }, { once: true });
  return details;
}

/** @param {unknown} data a text is shown as it is, unless it is JSON */
export const raw = (data) => h('pre.raw', { tabindex: '0', role: 'region', 'aria-label': 'Raw data' }, typeof data === 'string' ? pretty(data) : JSON.stringify(data, null, 2));

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
