/**
 * Builds elements. Texts become text nodes and nothing is ever parsed as HTML: what people wrote stays what they wrote.
 */

const SVG = 'http://www.w3.org/2000/svg';

/** @typedef {Node | string | number | null | undefined | false | Child[]} Child */

/**
 * @param {string} tag 'button', or with classes: 'button.primary.slim'
 * @param {Record<string, any>} [attributes] `on…` functions listen; false, null and undefined are left out
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split('.');
  return fill(document.createElement(name), classes, attributes, children);
}

/**
 * The same for SVG.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...Child} children
 * @returns {SVGElement}
 */
export function s(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split('.');
  return fill(document.createElementNS(SVG, name), classes, attributes, children);
}

function fill(element, classes, attributes, children) {
  for (const name of classes) element.classList.add(name);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'value' || name === 'checked' || name === 'disabled' || name === 'selected') element[name] = value;
    else if (name === 'class') element.classList.add(...String(value).split(' ').filter(Boolean));
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...flat(children));
  return element;
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false).map((child) => (child instanceof Node ? child : String(child)));
}

/**
 * Replaces what an element holds. The focus stays on the element with the same `data-key`, if there is one.
 * @param {Element & {shown?: string}} element
 * @param {...Child} children
 */
export function put(element, ...children) {
  element.shown = undefined;
  const focused = document.activeElement;
  const key = element.contains(focused) && focused instanceof HTMLElement ? focused.dataset.key : undefined;
  element.replaceChildren(...flat(children));
  if (key === undefined) return;
  const again = element.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (again instanceof HTMLElement) again.focus({ preventScroll: true });
}

/**
 * Like `put`, but leaves everything alone while the data are the same.
 * @param {Element & {shown?: string}} element
 * @param {unknown} data
 * @param {() => Child} draw
 */
export function putIfChanged(element, data, draw) {
  const text = JSON.stringify(data);
  if (element.shown === text) return;
  put(element, draw());
  element.shown = text;
}

/** Sets a text only if it differs, so that nothing is read out twice. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
