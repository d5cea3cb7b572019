import { app } from '../app.js';
import { h, put } from '../dom.js';
import { throttled } from '../follow.js';
import { address, count, since } from '../format.js';
import { blank, bones, card, failed } from '../parts/basics.js';

const RELOAD_PAUSE_MS = 500;
const LISTED = 30;

/** What people say about the market. Their texts are shown as texts, whatever they contain. */
export function discussionPanel(id) {
  const note = h('span');
  const body = h('div.card-body', {}, bones(3));
  const load = throttled(async () => {
    try {
      const page = await app.zmart.get(`/api/discussions/${id}`, { limit: LISTED });
      put(note, page.total_count ? `${count(page.total_count)} ${page.total_count === 1 ? 'thread' : 'threads'}` : '');
      put(body, page.discussions.length ? posts(page.discussions) : blank('Nobody has said anything yet.'));
    } catch (error) {
      put(body, failed(error, load));
    }
  }, RELOAD_PAUSE_MS);
  return { element: card('Discussion', { note }, body), load, receive: (type) => type === 'discussion' && load() };
}

const posts = (list) => h('ul.posts', {}, list.map(post));

function post(row) {
  return h('li.post', {},
    h('p.post-head', {},
      h('span.mono', { title: row.author }, address(row.author)),
      h('span', {}, since(row.created_at)),
      row.score ? h('span', {}, `${row.score > 0 ? '+' : ''}${row.score}`) : null,
      row.is_flagged ? h('span.warn', {}, 'flagged') : null),
    h('p.post-text', {}, row.content),
    row.replies.length ? posts(row.replies) : null);
}
