import { app } from '../app.js';
import { h, put } from '../dom.js';
import { address, plural, since } from '../format.js';
import { blank, bones, card } from '../parts/basics.js';
import { loader } from '../parts/loading.js';

const RELOAD_PAUSE_MS = 2_000;
const LISTED = 30;

/** What people say about the market. Their texts are shown as texts, whatever they contain. */
export function discussionPanel(id, signal) {
  const note = h('span');
  const body = h('div.card-body', {}, bones(3));
  const load = loader({ body: body, pauseMs: RELOAD_PAUSE_MS, signal }, async () => {
    const page = await app.zmart.get(`/api/discussions/${id}`, { limit: LISTED }, { signal });
    put(note, page.total_count ? plural(page.total_count, 'thread') : '');
    put(body, page.discussions.length ? posts(page.discussions) : blank('Nobody has said anything yet.', '', app.isPlayable ? h('a', { href: `#/playground/${id}` }, 'Say something in the playground') : null));
  });
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
