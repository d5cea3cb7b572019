import { createSolanaRpcClient } from "@solana/client";
import * as kit from "@solana/kit";
import { kitClient } from "../kit.mjs";

export async function connect(task) {
  const client = createSolanaRpcClient({ endpoint: task.rpcUrl, websocketEndpoint: task.wsUrl, commitment: "confirmed" });
  return kitClient(kit, client, task);
}
