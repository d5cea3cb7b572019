/**
 * zmart.js: a client of a zmart-lite node, for browsers and Node.js 20 or later, without dependencies.
 *
 * Copy this file and the folder `zmart/` beside it, or import it from a node: it serves both under /static/.
 */

export { base58Decode, base58Encode, base64Decode, base64Encode } from './zmart/encoding.js';
export { ApiError, NetworkError, RateLimited, ZmartError } from './zmart/errors.js';
export { Backoff } from './zmart/backoff.js';
export { BurnerWallet } from './zmart/wallet.js';
export { signTransaction } from './zmart/transaction.js';
export { StandardSigner, StandardWallets, WalletError, connectStandard } from './zmart/standard.js';
export { Feed } from './zmart/feed.js';
export { Zmart } from './zmart/client.js';
