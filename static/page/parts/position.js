import { app } from '../app.js';

/**
 * What a wallet holds in a market, or null.
 * @param {string} address
 * @param {string} marketId
 * @param {AbortSignal} [signal]
 */
export async function positionOf(address, marketId, signal) {
  const [found] = await app.zmart.get(`/api/users/${address}/positions`, { market_id: marketId, limit: 1 }, { signal });
  return found ?? null;
}
