#!/usr/bin/env bash
# gill 0.14.0: createSolanaClient({ urlOrMoniker: "http://127.0.0.1:PORT" }) connects its subscriptions to port 8900,
# whatever PORT is. @solana/web3.js takes PORT + 1, as validators listen, and one would expect the same here. What
# helps is rpcSubscriptionsConfig.port, which gill does heed.
#
# Seen: "asked for 23456, subscriptions go to 8900" and "named, they go to 23457". Exits 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --ignore-scripts --omit=optional --no-audit --no-fund --loglevel=error gill@0.14.0 >/dev/null
cat > seen.mjs <<'JS'
import { createSolanaClient } from "gill";
async function portOf(options) {
  const { rpcSubscriptions } = createSolanaClient({ urlOrMoniker: "http://127.0.0.1:23456", ...options });
  try {
    await rpcSubscriptions.slotNotifications().subscribe({ abortSignal: AbortSignal.timeout(5000) });
  } catch (error) {
    const told = error.context?.errorEvent;
    return Number(new URL(told.target.url).port);
  }
  throw new Error("something listens there");
}
const plain = await portOf({});
const named = await portOf({ rpcSubscriptionsConfig: { port: 23457 } });
console.log(`asked for 23456, subscriptions go to ${plain}`);
console.log(`named, they go to ${named}`);
process.exit(plain === 8900 && named === 23457 ? 0 : 1);
JS
node seen.mjs
