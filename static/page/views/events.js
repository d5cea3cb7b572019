import { h, put } from '../dom.js';
import { chainLog } from '../panels/chainlog.js';
import { LiveFeed } from '../panels/livefeed.js';
import { choice } from '../parts/basics.js';
import { setQuery } from '../router.js';

/** Two logs: the live feed of everything the node says, and the program's events as the chain holds them. */

export function mount({ root, query, signal }) {
  const body = h('div');
  const first = query.get('tab') === 'chain' || query.get('q') ? 'chain' : 'live';
  let opened = new AbortController();
  const open = (tab) => {
    opened.abort();
    opened = new AbortController();
    const until = AbortSignal.any([signal, opened.signal]);
    put(body, tab === 'live' ? new LiveFeed(until).element : chainLog(query, until));
  };
  put(root,
    h('div.view-head', {}, h('div', {}, h('h1', {}, 'Events'), h('p', {}, 'Everything that happens, as it happens, with its raw data.')),
      choice('Log', [['live', 'Live feed'], ['chain', 'On chain']], first, (tab) => {
        setQuery({ tab: tab === 'live' ? '' : tab });
        open(tab);
      })),
    body);
  open(first);
}
