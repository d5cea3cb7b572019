import { RateLimited } from '../../zmart.js';
import { pause } from '../../zmart/backoff.js';
import { put } from '../dom.js';
import { throttled } from '../follow.js';
import { failed } from './basics.js';

/**
 * A function that loads what a panel shows: at once when it is first called, and not more often than `pauseMs` after
 * that, however often it is called. Where the node asks for patience, what is shown stays and is loaded later.
 * @param {{body: Element, pauseMs: number, signal: AbortSignal}} panel
 * @param {() => Promise<unknown>} step
 */
export function loader({ body, pauseMs, signal }, step) {
  const load = throttled(async () => {
    try {
      await step();
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof RateLimited)) return put(body, failed(error, load));
      pause(error.retryAfterMs, signal).then(load, () => {});
    }
  }, pauseMs);
  return load;
}
