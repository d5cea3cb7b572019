import * as gill from "gill";
import { kitClient } from "../kit.mjs";

export function connect(task) {
  // For this machine it takes 8900 for subscriptions, whatever the port of the RPC.
  const port = Number(new URL(task.wsUrl).port);
  const { rpc, rpcSubscriptions } = gill.createSolanaClient({ urlOrMoniker: task.rpcUrl, rpcSubscriptionsConfig: { port } });
  return kitClient(gill, { rpc, rpcSubscriptions }, task);
}
