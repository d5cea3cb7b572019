import { app } from '../app.js';
import { h, put } from '../dom.js';
import { count } from '../format.js';
import { follow } from '../follow.js';
import { card, choice } from '../parts/basics.js';
import { listen } from '../../zmart/sse.js';

/** The tail of the node's log, as it is written. */

const LINES_SHOWN = 500;
const AGAIN_MS = 2_000;
const LEVELS = [['debug', 'All'], ['warning', 'Warnings'], ['error', 'Errors']];
const HEAD = ['time', 'level', 'logger', 'message'];

/** @param {AbortSignal} signal */
export function log(signal) {
  const lines = h('pre.raw', { tabindex: '0', role: 'log', 'aria-label': 'Lines of the log' });
  const state = h('p.small.muted', { role: 'status' }, 'Connecting');
  let level = 'debug';
  let turn = new AbortController();
  const read = async (stop) => {
    put(lines);
    for await (const { name, data } of listen(app.admin, `/api/admin/logs/stream?lines=${LINES_SHOWN}&level=${level}`, stop)) {
      put(state, 'Following');
      add(lines, name === 'lost' ? `… ${count(data.lines)} lines were lost: this page read too slowly` : lineText(data));
    }
  };
  const start = () => {
    turn.abort();
    turn = new AbortController();
    const stop = AbortSignal.any([signal, turn.signal]);
    follow(async () => {
      try {
        await read(stop);
      } catch (error) {
        if (stop.aborted) return;
        if (error.status === 401) return void app.setAdmin(null);
        put(state, `Not connected: ${error.message}`);
        throw error;
      }
    }, AGAIN_MS, stop);
  };
  start();
  const tools = choice('Level', LEVELS, level, (value) => {
    level = value;
    start();
  });
  return card('Log', { tools }, state, lines);
}

function add(lines, text) {
  const atEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
  lines.append(`${text}\n`);
  while (lines.childNodes.length > LINES_SHOWN) lines.firstChild.remove();
  if (atEnd) lines.scrollTop = lines.scrollHeight;
}

function lineText(line) {
  const { exception, ...fields } = line;
  const rest = Object.entries(fields).filter(([name]) => !HEAD.includes(name)).map(([name, value]) => `${name}=${value}`);
  const head = [line.time.slice(11, 19), line.level, `${line.logger.replace(/^zmart_lite\./, '')}:`, line.message];
  return [...head, ...rest].join(' ') + (exception ? `\n${exception}` : '');
}
