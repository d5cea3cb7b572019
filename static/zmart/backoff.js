/** Pauses between attempts: doubled each time, with full jitter, so that clients of a restarted node do not come at once. */
export class Backoff {
  /** @param {{firstMs?: number, maxMs?: number, random?: () => number}} [options] */
  constructor({ firstMs = 250, maxMs = 15_000, random = Math.random } = {}) {
    this.firstMs = firstMs;
    this.maxMs = maxMs;
    this.random = random;
    this.failures = 0;
  }

  /** The next pause in milliseconds. The first one is short, none is zero. */
  next() {
    const ceiling = Math.min(this.maxMs, this.firstMs * 2 ** Math.min(this.failures, 16));
    this.failures += 1;
    return Math.max(50, Math.round(ceiling * (0.3 + 0.7 * this.random())));
  }

  /** To be called after a success. */
  reset() {
    this.failures = 0;
  }
}

/**
 * Resolves after so many milliseconds, or rejects with the signal's reason.
 * @param {number} ms
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}
