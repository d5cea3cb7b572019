import { h, put } from './dom.js';

/** Which view the part of the address behind the # names. */

/**
 * @typedef {object} Route
 * @property {string} path      'markets/:id'
 * @property {string} title
 * @property {() => Promise<{mount: (context: ViewContext) => void | Promise<void>}>} load
 */

/**
 * What a view gets. It fills `root` and stops everything when `signal` aborts.
 * @typedef {object} ViewContext
 * @property {HTMLElement} root
 * @property {Record<string, string>} params
 * @property {URLSearchParams} query
 * @property {AbortSignal} signal
 * @property {(title: string) => void} setTitle
 */

/** @returns {{segments: string[], query: URLSearchParams}} */
export function here() {
  const [path, search = ''] = location.hash.replace(/^#\/?/, '').split('?');
  return { segments: path.split('/').filter(Boolean).map(decode), query: new URLSearchParams(search) };
}

function decode(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** Writes the query into the address without opening the view anew. */
export function setQuery(values) {
  const { segments } = here();
  const given = Object.entries(values).filter(([, value]) => value);
  const search = new URLSearchParams(given).toString();
  history.replaceState(null, '', `#/${segments.map(encodeURIComponent).join('/')}${search ? `?${search}` : ''}`);
}

/** The parameters if the route's path fits, else null. */
function fits(route, segments) {
  const parts = route.path.split('/').filter(Boolean);
  if (parts.length !== segments.length) return null;
  const params = {};
  for (const [i, part] of parts.entries()) {
    if (part.startsWith(':')) params[part.slice(1)] = segments[i];
    else if (part !== segments[i]) return null;
  }
  return params;
}

export class Router {
  /**
   * @param {HTMLElement} main
   * @param {Route[]} routes
   * @param {(first: string) => void} onChange told the first segment
   * @param {(retry: () => void) => HTMLElement} unreachable what stands in for a view that could not be fetched
   */
  constructor(main, routes, onChange, unreachable) {
    this.main = main;
    this.routes = routes;
    this.onChange = onChange;
    this.unreachable = unreachable;
    this.controller = new AbortController();
    addEventListener('hashchange', () => this.open(true));
  }

  /** @param {boolean} moved whether somebody followed a link: then the focus goes to the new view */
  async open(moved = false) {
    this.controller.abort();
    this.controller = new AbortController();
    const { signal } = this.controller;
    const { segments, query } = here();
    const found = this.#find(segments);
    this.onChange(segments[0] ?? '');
    if (!found) return this.#show(h('div.blank', {}, h('strong', {}, 'There is no such view.'), h('a.button', { href: '#/' }, 'To the start')));
    const root = h('div.stack');
    const setTitle = (title) => {
      if (!signal.aborted) document.title = `${title} · zmart-lite`;
    };
    setTitle(found.route.title);
    const view = await found.route.load().catch(() => null);
    if (signal.aborted) return;
    if (view === null) return this.#show(this.unreachable(() => this.open(moved)));
    this.#show(root);
    if (moved) {
      scrollTo(0, 0);
      this.main.focus({ preventScroll: true });
    }
    await view.mount({ root, params: found.params, query, signal, setTitle });
  }

  /** Fetches the other views while nothing else is to be done, so that they open at once and without the node. */
  async prefetch() {
    for (const { load } of this.routes) await load().catch(() => null);
  }

  #find(segments) {
    for (const route of this.routes) {
      const params = fits(route, segments);
      if (params) return { route, params };
    }
    return null;
  }

  #show(element) {
    put(this.main, element);
  }
}
