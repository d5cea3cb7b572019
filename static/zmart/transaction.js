import { base58Encode, base64Decode, base64Encode } from './encoding.js';

/** @typedef {import('./wallet.js').Signer} Signer */

const SIGNATURE_LENGTH = 64;
const KEY_LENGTH = 32;
const VERSIONED = 0x80;

/**
 * Puts a wallet's signature into a legacy transaction that the node built.
 * @param {string} transaction base64, with room for every signature
 * @param {Signer} wallet one of its required signers
 * @returns {Promise<string>} base64, ready for POST /api/transactions
 * @throws {TypeError} if the transaction cannot be read, or does not ask for this wallet's signature
 */
export async function signTransaction(transaction, wallet) {
  const bytes = base64Decode(transaction);
  const [signatures, start] = compactU16(bytes, 0);
  const message = bytes.subarray(start + signatures * SIGNATURE_LENGTH);
  const index = signersOf(message).indexOf(wallet.address);
  if (index < 0 || index >= signatures) throw new TypeError(`${wallet.address} is no signer of this transaction`);
  if (wallet.signTransaction) return base64Encode(await wallet.signTransaction(bytes));
  bytes.set(await wallet.sign(message), start + index * SIGNATURE_LENGTH);
  return base64Encode(bytes);
}

/**
 * The same transaction as one of version 0, for wallets that take no other. Its signatures are to be made anew.
 * @param {Uint8Array} bytes a legacy transaction
 */
export function asVersion0(bytes) {
  const [signatures, start] = compactU16(bytes, 0);
  const at = start + signatures * SIGNATURE_LENGTH;
  if (bytes[at] & VERSIONED) return bytes;
  return Uint8Array.from([...bytes.subarray(0, at), VERSIONED, ...bytes.subarray(at), 0]);
}

/**
 * The addresses that have to sign, the fee payer first.
 * @param {Uint8Array} message
 */
function signersOf(message) {
  if (message.length < 4 || message[0] & VERSIONED) throw new TypeError('not a legacy transaction');
  const [keys, start] = compactU16(message, 3);
  const required = Math.min(message[0], keys);
  if (start + keys * KEY_LENGTH > message.length) throw new TypeError('the transaction is cut off');
  return Array.from({ length: required }, (_, i) =>
    base58Encode(message.subarray(start + i * KEY_LENGTH, start + (i + 1) * KEY_LENGTH)),
  );
}

/**
 * Solana's variable-length number: seven bits a byte, low ones first.
 * @param {Uint8Array} bytes
 * @param {number} at
 * @returns {[number, number]} the number, and where the next field begins
 */
function compactU16(bytes, at) {
  let value = 0;
  for (let i = 0; i < 3; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) break;
    value |= (byte & 0x7f) << (7 * i);
    if (!(byte & 0x80)) return [value, at + i + 1];
  }
  throw new TypeError('the transaction is cut off');
}
