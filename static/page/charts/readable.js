/**
 * Makes a drawing readable without a mouse. It takes the focus, arrow keys go from value to value, and screen readers say
 * each: what a slider does, only that it changes nothing.
 */

const STRIDE = 10;
const MOVES = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -STRIDE, PageUp: STRIDE, Home: -Infinity, End: Infinity };

/**
 * @param {HTMLElement} element
 * @param {{label: string, count: () => number, text: (index: number) => string, show: (index: number | null) => void}} values
 *   `show` marks one value in the drawing; null: none
 * @returns {() => void} to be called when the values have changed
 */
export function readable(element, { label, count, text, show }) {
  let at = Infinity;
  let active = false;
  const tell = () => {
    const last = Math.max(0, count() - 1);
    const index = Math.min(at, last);
    element.setAttribute('aria-valuemax', String(last));
    element.setAttribute('aria-valuenow', String(index));
    element.setAttribute('aria-valuetext', count() ? text(index) : 'Nothing yet');
    if (active) show(count() ? index : null);
  };
  const move = (event) => {
    const by = MOVES[event.key];
    if (by === undefined) return;
    event.preventDefault();
    const last = Math.max(0, count() - 1);
    const next = Math.min(Math.max(Math.min(at, last) + by, 0), last);
    // At the newest value it stays with the newest.
    at = next === last ? Infinity : next;
    active = true;
    tell();
  };
  const leave = () => {
    active = false;
    show(null);
  };
  for (const [name, value] of [['role', 'slider'], ['tabindex', '0'], ['aria-label', label], ['aria-valuemin', '0'], ['aria-readonly', 'true']]) element.setAttribute(name, value);
  element.addEventListener('keydown', move);
  element.addEventListener('blur', leave);
  tell();
  return tell;
}
