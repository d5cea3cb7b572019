import { h } from '../dom.js';
import { duration, words } from '../format.js';

/** What each job is for, in the words of somebody who meets it for the first time. */
const PURPOSES = {
  poll: 'finds transactions that no webhook told of',
  aggregate: 'records votes on chain, approves proposals',
  monitor: 'finalizes markets whose time has come',
  backup: 'copies the database and checks the copy',
  alerts: 'looks for what needs a person',
  prune: 'removes what has been kept long enough',
  backfill: 'reads the whole history of the chain',
  retry: 'tries again what could not be read',
  rebuild: 'makes all markets anew from their events',
  reconcile: 'compares the database with the chain',
  snapshot: 'keeps discussions on IPFS',
};

/** Its name, and below it what it is for. */
export const jobName = ({ name }) => [h('strong', {}, words(name)), PURPOSES[name] ? h('p.muted.purpose', {}, PURPOSES[name]) : null];

/** 'every 3600 s' → 'every 1 h'. */
export const schedule = (text) => text.replace(/^every (\d+) s$/, (_, seconds) => `every ${duration(Number(seconds))}`);
