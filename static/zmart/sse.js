import { Backoff, pause } from './backoff.js';
import { ApiError, NetworkError, errorOf } from './errors.js';

/** @typedef {import('./client.js').Zmart} Zmart */
/** @typedef {import('./feed.js').Message} Message */
/** @typedef {import('./feed.js').FeedState} FeedState */

/**
 * @typedef {object} StreamOptions
 * @property {string[]} [channels]           'public' unless given
 * @property {number | null} [from]          resume after this offset
 * @property {AbortSignal} [signal]          ends the stream
 * @property {(state: FeedState) => void} [onState]
 */

/** The node sends a comment every 15 s; three missed ones mean that the connection is dead. */
const SILENCE_MAX_MS = 45_000;
/** Answers that another try cannot change. */
const FINAL = new Set([400, 401, 403, 404, 405]);

/**
 * An EventSource by fetch, which can carry an Authorization header. A generator of envelopes; `reset` is one of them.
 * @param {Zmart} zmart
 * @param {StreamOptions} options
 * @returns {AsyncGenerator<Message, void, void>}
 */
export async function* stream(zmart, { channels = ['public'], from = null, signal, onState = () => {} }) {
  const backoff = new Backoff();
  let offset = from;
  while (!signal?.aborted) {
    onState('connecting');
    const attempt = new AbortController();
    const stop = () => attempt.abort();
    signal?.addEventListener('abort', stop, { once: true });
    try {
      for await (const event of events(await open(zmart, channels, offset, attempt.signal), attempt)) {
        if (event.id !== null) offset = event.id;
        if (backoff.failures) backoff.reset();
        if (event.message.type === 'subscribed') onState('open');
        yield event.message;
      }
    } catch (error) {
      if (error instanceof ApiError && FINAL.has(error.status)) throw error;
    } finally {
      signal?.removeEventListener('abort', stop);
      attempt.abort();
    }
    if (signal?.aborted) break;
    onState('waiting');
    await pause(backoff.next(), signal).catch(() => {});
  }
  onState('closed');
}

/**
 * @param {Zmart} zmart
 * @param {string[]} channels
 * @param {number | null} offset
 * @param {AbortSignal} signal
 * @returns {Promise<ReadableStream<Uint8Array>>}
 */
async function open(zmart, channels, offset, signal) {
  /** @type {Record<string, string>} */
  const headers = { Accept: 'text/event-stream' };
  if (zmart.session) headers.Authorization = `Bearer ${zmart.session.token}`;
  if (offset !== null) headers['Last-Event-ID'] = String(offset);
  const query = new URLSearchParams({ channels: channels.join(',') });
  const response = await zmart.fetch(`${zmart.url}/api/stream?${query}`, { headers, signal, cache: 'no-store' });
  if (!response.ok) throw await errorOf(response);
  if (!response.body) throw new NetworkError('The stream has no body.');
  return response.body;
}

/**
 * One of the node's other event streams, from its beginning to its end, without coming back.
 * @param {Zmart} zmart
 * @param {string} path with its query
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<{name: string, data: any}, void, void>}
 */
export async function* listen(zmart, path, signal) {
  const attempt = new AbortController();
  const stop = () => attempt.abort();
  signal.addEventListener('abort', stop, { once: true });
  try {
    const headers = zmart.session ? { Authorization: `Bearer ${zmart.session.token}` } : undefined;
    const response = await zmart.fetch(zmart.url + path, { headers, signal: attempt.signal, cache: 'no-store' });
    if (!response.ok) throw await errorOf(response);
    if (!response.body) throw new NetworkError('The stream has no body.');
    for await (const { name, message } of events(response.body, attempt)) yield { name, data: message };
  } finally {
    signal.removeEventListener('abort', stop);
    attempt.abort();
  }
}

/**
 * @param {ReadableStream<Uint8Array>} body
 * @param {AbortController} attempt aborted when nothing comes any more
 * @returns {AsyncGenerator<{id: number | null, name: string, message: any}, void, void>}
 */
async function* events(body, attempt) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  let watchdog;
  try {
    for (;;) {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => attempt.abort(), SILENCE_MAX_MS);
      const { done, value } = await reader.read();
      if (done) return;
      text += decoder.decode(value, { stream: true }).replace(/\r\n?/g, '\n');
      const blocks = text.split('\n\n');
      text = /** @type {string} */ (blocks.pop());
      yield* blocks.map(parseBlock).filter((event) => event !== null);
    }
  } finally {
    clearTimeout(watchdog);
    reader.cancel().catch(() => {});
  }
}

/**
 * One event of the stream; null for comments and settings.
 * @param {string} block
 * @returns {{id: number | null, name: string, message: any} | null}
 */
export function parseBlock(block) {
  let id = null;
  let eventName = 'message';
  const data = [];
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'id') id = Number(value);
    else if (name === 'event') eventName = value;
    else if (name === 'data') data.push(value);
  }
  return data.length ? { id, name: eventName, message: JSON.parse(data.join('\n')) } : null;
}
