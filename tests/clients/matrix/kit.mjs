// The verbs of the list by a given @solana/kit and what stands on it: gill and @solana/client hand in their own parts.

const ROLES = { signer: 2, writable: 1 };

export async function kitClient(kit, { rpc, rpcSubscriptions }, task) {
  const confirmed = { commitment: "confirmed" };
  const signers = new Map();
  for (const [name, secret] of Object.entries(task.secrets)) {
    const signer = await kit.createKeyPairSignerFromBytes(Uint8Array.from(secret));
    signers.set(name, signer).set(signer.address, signer);
  }
  const instructionOf = ({ program, accounts, data }) => ({
    programAddress: kit.address(program),
    accounts: accounts.map(({ address, signer, writable }) => ({
      address: kit.address(address),
      role: (signer ? ROLES.signer : 0) + (writable ? ROLES.writable : 0),
      ...(signer ? { signer: signers.get(address) } : {}),
    })),
    data: Uint8Array.from(data),
  });
  const sendAndConfirm = kit.sendAndConfirmTransactionFactory({ rpc, rpcSubscriptions });
  const sendAndConfirmNonce = kit.sendAndConfirmDurableNonceTransactionFactory({ rpc, rpcSubscriptions });

  async function built(signer, told, { nonce, lookup } = {}) {
    const { value: latest } = await rpc.getLatestBlockhash(confirmed).send();
    let message = kit.createTransactionMessage({ version: 0 });
    message = kit.setTransactionMessageFeePayerSigner(signers.get(signer), message);
    if (nonce) {
      // It puts the instruction that advances the nonce first by itself.
      const names = { nonce: nonce.value, nonceAccountAddress: nonce.address, nonceAuthorityAddress: nonce.authority };
      message = kit.setTransactionMessageLifetimeUsingDurableNonce(names, message);
      message = kit.appendTransactionMessageInstructions(told.slice(1).map(instructionOf), message);
      // The authority signs for the advance, which names it by its address only.
      message = kit.addSignersToTransactionMessage([signers.get(nonce.authority)], message);
    } else {
      message = kit.setTransactionMessageLifetimeUsingBlockhash(latest, message);
      message = kit.appendTransactionMessageInstructions(told.map(instructionOf), message);
    }
    if (lookup) message = kit.compressTransactionMessageUsingAddressLookupTables(message, { [lookup.address]: lookup.addresses });
    return kit.signTransactionMessageWithSigners(message);
  }

  async function send(signer, told, options = {}) {
    const transaction = await built(signer, told, options);
    await (options.nonce ? sendAndConfirmNonce : sendAndConfirm)(transaction, confirmed);
    return kit.getSignatureFromTransaction(transaction);
  }

  const aborting = new AbortController();
  return {
    send,
    async airdrop(address, lamports) {
      const signature = await rpc.requestAirdrop(kit.address(address), kit.lamports(BigInt(lamports))).send();
      for (;;) {
        const [status] = (await rpc.getSignatureStatuses([signature]).send()).value;
        if (status && status.confirmationStatus !== "processed") return;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    balance: async (address) => Number((await rpc.getBalance(kit.address(address), confirmed).send()).value),
    async told(signature) {
      const options = { ...confirmed, encoding: "json", maxSupportedTransactionVersion: 0 };
      const { meta, version } = await rpc.getTransaction(signature, options).send();
      const [{ memo }] = await rpc.getSignaturesForAddress(signers.get("alice").address, { ...confirmed, limit: 1 }).send();
      const { readonly, writable } = meta.loadedAddresses;
      return { err: meta.err, fee: Number(meta.fee), version, memo, loaded: [...writable, ...readonly] };
    },
    async simulate(signer, told) {
      const transaction = kit.getBase64EncodedWireTransaction(await built(signer, told));
      const { value } = await rpc.simulateTransaction(transaction, { ...confirmed, encoding: "base64" }).send();
      return { err: value.err, units: Number(value.unitsConsumed), logs: value.logs };
    },
    async account(address, encoding) {
      const { value } = await rpc.getAccountInfo(kit.address(address), { ...confirmed, encoding }).send();
      return encoding === "base64" ? Buffer.from(value.data[0], "base64").toString("hex") : value.data;
    },
    async failure(signer, told) {
      try {
        await send(signer, told);
      } catch (error) {
        const preflight = kit.isSolanaError(error, kit.SOLANA_ERROR__JSON_RPC__SERVER_ERROR_SEND_TRANSACTION_PREFLIGHT_FAILURE);
        return { name: error.name, preflight, told: `${error.message} ${error.cause?.message} ${error.context?.logs}` };
      }
      return null;
    },
    async listen({ account, program }) {
      const heard = {};
      const options = { abortSignal: aborting.signal };
      const first = async (name, request, tell) => {
        const notifications = await request.subscribe(options);
        heard[name] = (async () => {
          for await (const each of notifications) {
            const found = tell(each);
            if (found !== undefined) return found;
          }
        })();
      };
      const base64 = { ...confirmed, encoding: "base64" };
      await first("account", rpcSubscriptions.accountNotifications(kit.address(account), base64), ({ value }) => Number(value.lamports));
      await first("program", rpcSubscriptions.programNotifications(kit.address(program), base64), ({ value }) => Number(value.account.space));
      await first("logs", rpcSubscriptions.logsNotifications({ mentions: [kit.address(program)] }, confirmed), ({ value }) => value.err);
      await first("slot", rpcSubscriptions.slotNotifications(), ({ slot, parent }) => Number(slot - parent));
      await first("root", rpcSubscriptions.rootNotifications(), (root) => (root >= 0n ? "number" : undefined));
      return heard;
    },
    close: () => aborting.abort(),
  };
}
