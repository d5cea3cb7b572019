import { Backoff, RateLimited } from '../zmart.js';
import { pause } from '../zmart/backoff.js';

/**
 * Does something again and again until `signal` aborts: every so often, less often while it fails, and not while nobody
 * looks at the page.
 * @param {(signal: AbortSignal) => Promise<unknown>} step
 * @param {number | (() => number)} everyMs
 * @param {AbortSignal} [signal]
 */
export async function follow(step, everyMs, signal = new AbortController().signal) {
  const backoff = new Backoff({ firstMs: 1_000, maxMs: 8_000 });
  while (!signal.aborted) {
    let wait = typeof everyMs === 'function' ? everyMs() : everyMs;
    try {
      await step(signal);
      backoff.reset();
    } catch (error) {
      wait = error instanceof RateLimited ? error.retryAfterMs : backoff.next();
    }
    await pause(wait, signal).catch(() => {});
    await visible(signal);
  }
}

function visible(signal) {
  if (!document.hidden || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const seen = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener('visibilitychange', seen);
      resolve(undefined);
    };
    document.addEventListener('visibilitychange', seen);
    signal.addEventListener('abort', seen, { once: true });
  });
}

/**
 * Joins calls that come close together: the first runs at once, one more after the pause if there were others.
 * @param {() => Promise<unknown>} step
 * @param {number} pauseMs
 */
export function throttled(step, pauseMs) {
  let running = false;
  let again = false;
  return async function run() {
    if (running) {
      again = true;
      return;
    }
    running = true;
    do {
      again = false;
      await step().catch(() => {});
      await pause(pauseMs);
    } while (again);
    running = false;
  };
}

/**
 * Joins calls that come close together into one, at most every `everyMs`. For drawing what a fast feed brings: the cost
 * is that of the drawings, not of the messages.
 * @param {() => void} step
 * @param {AbortSignal} signal
 * @param {number} [everyMs]
 */
export function joined(step, signal, everyMs = 100) {
  let timer = null;
  signal.addEventListener('abort', () => clearTimeout(timer));
  return function soon() {
    if (signal.aborted) return;
    timer ??= setTimeout(() => {
      timer = null;
      step();
    }, everyMs);
  };
}
