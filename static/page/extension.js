import { base58Encode } from '../zmart.js';

/** Wallet extensions, found by the Wallet Standard: they announce themselves, we ask who is there. */

const SIGN_MESSAGE = 'solana:signMessage';
const SIGN_TRANSACTION = 'solana:signTransaction';
const CONNECT = 'standard:connect';

/** @type {any[]} */ const found = [];

const registry = {
  register(...wallets) {
    for (const wallet of wallets) {
      if (wallet.features?.[SIGN_MESSAGE] && wallet.features?.[CONNECT] && !found.includes(wallet)) found.push(wallet);
    }
    return () => {};
  },
};

addEventListener('wallet-standard:register-wallet', (event) => /** @type {CustomEvent} */ (event).detail(registry));

/** The extensions of this browser that can sign messages. */
export function extensions() {
  dispatchEvent(new CustomEvent('wallet-standard:app-ready', { detail: registry }));
  return [...found];
}

/**
 * Connects to an extension; it asks its owner.
 * @returns {Promise<import('../zmart/wallet.js').Signer>}
 */
export async function connect(wallet) {
  const { accounts } = await wallet.features[CONNECT].connect();
  const account = accounts.find(({ features }) => features.includes(SIGN_MESSAGE)) ?? accounts[0];
  if (!account) throw new Error(`${wallet.name} offers no account.`);
  const signTransaction = wallet.features[SIGN_TRANSACTION];
  return {
    address: base58Encode(account.publicKey),
    automatic: false,
    sign: async (message) => (await wallet.features[SIGN_MESSAGE].signMessage({ account, message }))[0].signature,
    signTransaction: signTransaction && (async (transaction) => (await signTransaction.signTransaction({ account, transaction }))[0].signedTransaction),
  };
}
