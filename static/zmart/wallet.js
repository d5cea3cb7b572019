import { base58Decode, base58Encode, base64Decode } from './encoding.js';

/**
 * What signs: a burner wallet, or an adapter around a wallet extension.
 * @typedef {object} Signer
 * @property {string} address                                     base58 public key
 * @property {boolean} [automatic]                                may be asked to sign without a person noticing
 * @property {(message: Uint8Array) => Promise<Uint8Array>} sign  64 bytes over exactly these bytes
 * @property {(transaction: Uint8Array) => Promise<Uint8Array>} [signTransaction]  for wallets that sign transactions whole
 * @property {(transaction: Uint8Array) => Promise<string>} [sendTransaction]  for wallets that sign and send in one: the signature
 * @property {(input: any) => Promise<{message: Uint8Array, signature: Uint8Array}>} [signIn]  for wallets that make the text themselves
 */

/** What PKCS #8 puts before the 32 bytes of an Ed25519 seed. */
const PKCS8_PREFIX = Uint8Array.from([0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20]);
const SEED_LENGTH = 32;

/**
 * A keypair in memory, for play money only: whoever can run a script in the page can read it.
 * Browsers offer WebCrypto on https and on localhost only.
 * @implements {Signer}
 */
export class BurnerWallet {
  automatic = true;

  /**
   * @param {CryptoKey} key
   * @param {Uint8Array} seed
   * @param {Uint8Array} publicKey
   */
  constructor(key, seed, publicKey) {
    this.#key = key;
    this.#seed = seed;
    this.publicKey = publicKey;
    this.address = base58Encode(publicKey);
  }

  /** @type {CryptoKey} */ #key;
  /** @type {Uint8Array} */ #seed;

  /** Whether this environment can sign with Ed25519. */
  static get isSupported() {
    return globalThis.crypto?.subtle !== undefined;
  }

  static generate() {
    return BurnerWallet.fromSeed(crypto.getRandomValues(new Uint8Array(SEED_LENGTH)));
  }

  /**
   * @param {Uint8Array} seed 32 bytes
   * @returns {Promise<BurnerWallet>}
   */
  static async fromSeed(seed) {
    if (seed.length !== SEED_LENGTH) throw new TypeError('a seed has 32 bytes');
    const pkcs8 = Uint8Array.from([...PKCS8_PREFIX, ...seed]);
    const key = await crypto.subtle.importKey('pkcs8', pkcs8, 'Ed25519', true, ['sign']);
    const { x } = await crypto.subtle.exportKey('jwk', key);
    return new BurnerWallet(key, Uint8Array.from(seed), base64Decode(/** @type {string} */ (x)));
  }

  /**
   * The wallet of a secret key as wallets export it: base58 of 64 bytes, or a JSON array of them.
   * @param {string} text
   */
  static async fromSecret(text) {
    const trimmed = text.trim();
    const bytes = trimmed.startsWith('[') ? bytesOf(JSON.parse(trimmed)) : base58Decode(trimmed);
    if (bytes.length !== 64) throw new TypeError('a secret key has 64 bytes');
    const wallet = await BurnerWallet.fromSeed(bytes.slice(0, SEED_LENGTH));
    if (wallet.address !== base58Encode(bytes.slice(SEED_LENGTH))) throw new TypeError('the halves of this key do not fit');
    return wallet;
  }

  /** The secret key in the form that wallets import: base58 of 64 bytes. */
  get secret() {
    return base58Encode(Uint8Array.from([...this.#seed, ...this.publicKey]));
  }

  /** The same as the Solana CLI keeps it in a file: a JSON array of 64 numbers. */
  get keypairFile() {
    return JSON.stringify([...this.#seed, ...this.publicKey]);
  }

  /**
   * @param {Uint8Array} message
   * @returns {Promise<Uint8Array>}
   */
  async sign(message) {
    return new Uint8Array(await crypto.subtle.sign('Ed25519', this.#key, Uint8Array.from(message)));
  }
}

/** @param {unknown[]} numbers */
function bytesOf(numbers) {
  if (!numbers.every((each) => Number.isInteger(each) && Number(each) >= 0 && Number(each) < 256)) throw new TypeError('a secret key is made of numbers from 0 to 255');
  return Uint8Array.from(/** @type {number[]} */ (numbers));
}
