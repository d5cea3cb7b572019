/** Text forms of bytes, as Solana uses them. */

const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
const DIGITS = new Map([...ALPHABET].map((letter, value) => [letter, value]));

/**
 * @param {Uint8Array} bytes
 * @returns {string}
 */
export function base58Encode(bytes) {
  const digits = [0];
  for (const byte of bytes) {
    let carry = byte;
    for (let i = 0; i < digits.length; i++) {
      carry += digits[i] * 256;
      digits[i] = carry % 58;
      carry = Math.floor(carry / 58);
    }
    for (; carry > 0; carry = Math.floor(carry / 58)) digits.push(carry % 58);
  }
  const zeros = leading(bytes, 0);
  const significant = digits.length === 1 && digits[0] === 0 ? [] : digits.reverse();
  return '1'.repeat(zeros) + significant.map((digit) => ALPHABET[digit]).join('');
}

/**
 * @param {string} text
 * @returns {Uint8Array}
 * @throws {TypeError} for a character outside the alphabet
 */
export function base58Decode(text) {
  const bytes = [0];
  for (const letter of text) {
    let carry = DIGITS.get(letter);
    if (carry === undefined) throw new TypeError('not base58');
    for (let i = 0; i < bytes.length; i++) {
      carry += bytes[i] * 58;
      bytes[i] = carry & 0xff;
      carry >>= 8;
    }
    for (; carry > 0; carry >>= 8) bytes.push(carry & 0xff);
  }
  const significant = bytes.length === 1 && bytes[0] === 0 ? [] : bytes.reverse();
  return Uint8Array.from([...new Array(leading([...text], '1')).fill(0), ...significant]);
}

/**
 * How many items at the start equal `value`.
 * @param {ArrayLike<unknown>} items
 * @param {unknown} value
 */
function leading(items, value) {
  let count = 0;
  while (count < items.length && items[count] === value) count++;
  return count;
}

/**
 * @param {Uint8Array} bytes
 * @returns {string}
 */
export function base64Encode(bytes) {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/**
 * @param {string} text base64 or base64url
 * @returns {Uint8Array}
 */
export function base64Decode(text) {
  const binary = atob(text.replace(/-/g, '+').replace(/_/g, '/'));
  return Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
}
