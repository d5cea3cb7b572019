/* A wallet by the Wallet Standard, as an extension would bring it into the page. What it does is told by OPTIONS:
   name, seeds (hex, an account each), features, chains, versions, lateMs. `window.wallet` lets a test act as its owner. */
(() => {
  if (location.protocol === 'about:') return;
  const OPTIONS = __OPTIONS__;
  const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
  const PKCS8 = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
  const ICON = 'data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHdpZHRoPSI4IiBoZWlnaHQ9IjgiPjxyZWN0IHdpZHRoPSI4IiBoZWlnaHQ9IjgiIGZpbGw9IiM3YTUiLz48L3N2Zz4=';

  const base58 = (bytes) => {
    let value = BigInt('0x' + [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(''));
    let text = '';
    for (; value > 0n; value /= 58n) text = ALPHABET[Number(value % 58n)] + text;
    return '1'.repeat([...bytes].findIndex((byte) => byte !== 0)) + text;
  };

  const keyOf = async (seed) => {
    const bytes = Uint8Array.from(seed.match(/../g).map((pair) => parseInt(pair, 16)));
    const key = await crypto.subtle.importKey('pkcs8', Uint8Array.from([...PKCS8, ...bytes]), 'Ed25519', true, ['sign']);
    const { x } = await crypto.subtle.exportKey('jwk', key);
    const publicKey = Uint8Array.from(atob(x.replace(/-/g, '+').replace(/_/g, '/')), (letter) => letter.charCodeAt(0));
    return { key, publicKey, address: base58(publicKey) };
  };

  const listeners = new Set();
  const owner = { chosen: 0, refuses: null, trusted: localStorage.getItem('test.trusted') === 'yes', asked: [] };
  const keys = Promise.all(OPTIONS.seeds.map(keyOf));
  const accountOf = ({ publicKey, address }) => Object.freeze({ address, publicKey, chains: OPTIONS.chains, features: OPTIONS.features.filter((name) => name.startsWith('solana:')) });
  let accounts = [];

  const ask = (what, input) => {
    owner.asked.push({ what, chain: input?.chain, version: input?.transaction && versionOf(input.transaction) });
    if (owner.refuses) throw Object.assign(new Error(owner.refuses.message), owner.refuses.code ? { code: owner.refuses.code } : {});
  };
  const versionOf = (bytes) => (bytes[1 + bytes[0] * 64] & 0x80 ? bytes[1 + bytes[0] * 64] & 0x7f : 'legacy');
  const signed = async (account, bytes) => {
    const { key } = (await keys).find(({ address }) => address === account.address);
    return new Uint8Array(await crypto.subtle.sign('Ed25519', key, bytes));
  };
  const signTransaction = async ({ account, transaction }) => {
    const message = transaction.subarray(1 + transaction[0] * 64);
    const done = Uint8Array.from(transaction);
    done.set(await signed(account, message), 1);
    return done;
  };

  const FEATURES = {
    'standard:connect': { version: '1.0.0', connect: async (input) => {
      if (input?.silent && !owner.trusted) return { accounts: [] };
      if (!input?.silent) ask('connect');
      localStorage.setItem('test.trusted', 'yes');
      accounts = [accountOf((await keys)[owner.chosen])];
      return { accounts };
    } },
    'standard:disconnect': { version: '1.0.0', disconnect: async () => localStorage.removeItem('test.trusted') },
    'standard:events': { version: '1.0.0', on: (event, listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    } },
    'solana:signIn': { version: '1.0.0', signIn: async (input) => {
      ask('signIn');
      const [account] = accounts;
      const text = `${input.domain} wants you to sign in with your Solana account:\n${account.address}\n\n${input.statement}\n\nURI: ${input.uri}\nVersion: ${input.version}\nChain ID: ${input.chainId}\nNonce: ${input.nonce}\nIssued At: ${input.issuedAt}\nExpiration Time: ${input.expirationTime}`;
      const signedMessage = new TextEncoder().encode(text);
      return [{ account, signedMessage, signature: await signed(account, signedMessage), signatureType: 'ed25519' }];
    } },
    'solana:signMessage': { version: '1.1.0', signMessage: async (...inputs) => Promise.all(inputs.map(async ({ account, message }) => {
      ask('signMessage');
      return { signedMessage: message, signature: await signed(account, message) };
    })) },
    'solana:signTransaction': { version: '1.0.0', supportedTransactionVersions: OPTIONS.versions, signTransaction: async (...inputs) => Promise.all(inputs.map(async (input) => {
      ask('signTransaction', input);
      return { signedTransaction: await signTransaction(input) };
    })) },
    'solana:signAndSendTransaction': { version: '1.0.0', supportedTransactionVersions: OPTIONS.versions, signAndSendTransaction: async (...inputs) => Promise.all(inputs.map(async (input) => {
      ask('signAndSendTransaction', input);
      const bytes = await signTransaction(input);
      await fetch('/api/transactions', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ transaction: btoa(String.fromCharCode(...bytes)) }) });
      return { signature: bytes.subarray(1, 65) };
    })) },
  };

  const wallet = Object.freeze({
    version: '1.0.0',
    name: OPTIONS.name,
    icon: ICON,
    chains: OPTIONS.chains,
    get accounts() {
      return accounts;
    },
    features: Object.freeze(Object.fromEntries(OPTIONS.features.map((name) => [name, FEATURES[name]]))),
  });

  const register = () => {
    const callback = ({ register }) => register(wallet);
    dispatchEvent(new CustomEvent('wallet-standard:register-wallet', { detail: callback }));
    addEventListener('wallet-standard:app-ready', ({ detail }) => callback(detail));
  };
  window.wallet = Object.assign(owner, {
    register,
    choose: async (index) => {
      owner.chosen = index;
      accounts = [accountOf((await keys)[index])];
      for (const listener of listeners) listener({ accounts });
    },
    leave: () => {
      accounts = [];
      for (const listener of listeners) listener({ accounts });
    },
  });
  if (!OPTIONS.late) register();
})();
