import * as kit from "@solana/kit";
import { kitClient } from "../kit.mjs";

export function connect(task) {
  const rpc = kit.createSolanaRpc(task.rpcUrl);
  const rpcSubscriptions = kit.createSolanaRpcSubscriptions(task.wsUrl);
  return kitClient(kit, { rpc, rpcSubscriptions }, task);
}
