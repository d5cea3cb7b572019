import { app } from '../app.js';
import { h, say } from '../dom.js';

/**
 * A market by its name, which is looked up if it has not been met yet.
 * @param {string} id
 */
export function marketLink(id) {
  const link = h('a.wraps', { href: `#/markets/${id}`, title: id }, app.nameOf(id));
  app.learn(id).then(() => say(link, app.nameOf(id)));
  return link;
}
