import { app } from '../app.js';
import { h, put } from '../dom.js';
import { plural, since } from '../format.js';
import { toast } from '../notify.js';
import { blank, bones, card, worker } from '../parts/basics.js';
import { walletLink } from '../parts/explorer.js';
import { loader } from '../parts/loading.js';
import { connection } from '../wallet/connection.js';
import { openConnect } from '../wallet/menu.js';

const RELOAD_PAUSE_MS = 2_000;
const LISTED = 30;

/** What people say about the market, and a place to say something. Their texts are shown as texts, whatever they contain. */
export function discussionPanel(id, signal) {
  const note = h('span');
  const body = h('div', {}, bones(3));
  const load = loader({ body: body, pauseMs: RELOAD_PAUSE_MS, signal }, async () => {
    const page = await app.zmart.get(`/api/discussions/${id}`, { limit: LISTED }, { signal });
    put(note, page.total_count ? plural(page.total_count, 'thread') : '');
    put(body, page.discussions.length ? posts(page.discussions) : blank('Nobody has said anything yet.', 'Be the first.'));
  });
  return { element: card('Discussion', { note }, h('div.card-body.stack-s', {}, writing(id, load), body)), load, receive: (type) => type === 'discussion' && load() };
}

function writing(id, load) {
  const text = /** @type {HTMLTextAreaElement} */ (h('textarea.input', { name: 'content', maxlength: 1000, rows: 2, 'aria-label': 'Your post', placeholder: 'What do you know about this question?' }));
  const post = worker('Post', async () => {
    if (!text.value.trim()) throw new Error('Write something first.');
    if (!connection.current && !(await openConnect())) return;
    await (await connection.session()).post(`/api/discussions/${id}`, { content: text.value });
    text.value = '';
    toast('Posted', 'ok');
    await load();
  }, { kind: 'slim', 'data-do': 'post' });
  return h('div.stack-xs', {}, text, h('div.actions', {}, post));
}

const posts = (list) => h('ul.posts', {}, list.map(post));

function post(row) {
  return h('li.post', {},
    h('p.post-head', {},
      walletLink(row.author),
      h('span', { title: row.created_at }, since(row.created_at)),
      row.score ? h('span', {}, `${row.score > 0 ? '+' : ''}${row.score}`) : null,
      row.is_flagged ? h('span.warn', {}, 'flagged') : null),
    h('p.post-text', {}, row.content),
    row.replies.length ? posts(row.replies) : null);
}
