import { app } from '../app.js';
import { askReason, show, textField } from '../dialog.js';
import { h, put, putIfChanged, say } from '../dom.js';
import { bps, duration } from '../format.js';
import { toast } from '../notify.js';
import { badge, card, copyable, facts, worker } from '../parts/basics.js';

/** The program's configuration on chain, and how its admin changes it. */

const LOOKS_MAX = 20;
const LOOK_EVERY_MS = 500;
const BPS_MAX = 10_000;
const SECONDS_MAX = Number.MAX_SAFE_INTEGER;
/** Above this the program refuses to buy. */
const FEES_SAFE_BPS = 1_000;
const FEES = ['protocol_fee_bps', 'resolver_reward_bps', 'liquidity_provider_fee_bps'];

/** What can be changed: name in the contract, label, unit, highest value. */
const FIELDS = [
  ['protocol_fee_bps', 'Protocol fee', 'bps', BPS_MAX],
  ['resolver_reward_bps', 'Resolver reward', 'bps', BPS_MAX],
  ['liquidity_provider_fee_bps', 'Liquidity fee', 'bps', BPS_MAX],
  ['proposal_approval_threshold', 'Approval threshold', 'bps', BPS_MAX],
  ['dispute_success_threshold', 'Dispute threshold', 'bps', BPS_MAX],
  ['min_resolution_delay', 'Resolution delay', 's', SECONDS_MAX],
  ['dispute_period', 'Dispute period', 's', SECONDS_MAX],
];

export function protocolCard(signal) {
  const body = h('div.card-body.stack-s');
  app.watch('protocol', signal, () => putIfChanged(body, app.protocol && { ...app.protocol, chain_time: null, slot: null }, () => draw(app.protocol)));
  return card('Protocol on chain', {}, body);
}

function draw(protocol) {
  if (!protocol) return h('p.small', {}, 'The program’s configuration cannot be read.');
  const paused = protocol.is_paused;
  return [
    h('p.row', {}, badge(paused ? 'paused' : 'running', paused ? 'warn' : 'ok'),
      h('span.small', {}, paused ? 'The protocol is paused: nobody can create markets or trade.' : 'The protocol runs.')),
    facts([
      ...FIELDS.map(([name, label, unit]) => [label, shown(protocol[name], unit)]),
      ['Votes a proposal needs', String(protocol.proposal_min_votes)],
      ['Admin', copyable(protocol.admin)],
      ['Backend authority', copyable(protocol.backend_authority)],
      ['Fee wallet', copyable(protocol.protocol_fee_wallet)],
      ['Config account', copyable(protocol.config_address)],
    ]),
    h('div.actions', {},
      worker(paused ? 'Resume the protocol' : 'Pause the protocol', () => pause(!paused), { kind: paused ? 'primary' : '', 'data-key': 'protocol', 'data-do': 'protocol' }),
      worker('Change the configuration', () => change(protocol), { 'data-key': 'config', 'data-do': 'config' })),
  ];
}

const shown = (value, unit) => (unit === 'bps' ? bps(value) : duration(value));

async function pause(paused) {
  const reason = await askReason(paused ? 'Pause the protocol?' : 'Resume the protocol?', paused ? 'Pause' : 'Resume', 'This is a transaction of the program’s admin.');
  if (!reason) return;
  await app.admin.act('/api/admin/protocol/pause', { paused, reason });
  toast(paused ? 'Pausing is under way' : 'Resuming is under way', 'ok');
  await until(() => app.protocol?.is_paused === paused);
}

async function change(protocol) {
  const inputs = new Map();
  const consequences = h('ul.notice.warn.stack-xs', { 'aria-live': 'polite', hidden: true });
  const changed = () => Object.fromEntries([...inputs].map(([name, input]) => [name, Number(input.value)]).filter(([name, value]) => value !== protocol[name]));
  const warn = () => {
    const found = warnings(protocol, { ...protocol, ...changed() });
    consequences.hidden = !found.length;
    for (const [name, , unit] of FIELDS) say(inputs.get(name).meaning, shown(Number(inputs.get(name).value), unit));
    put(consequences, found.map((text) => h('li', {}, text)));
  };
  const fields = FIELDS.map(([name, label, unit, most]) => {
    const input = /** @type {HTMLInputElement & {meaning: Element}} */ (h('input.input', { name, type: 'number', min: unit === 's' ? 1 : 0, max: most, step: 1, required: true, value: String(protocol[name]), oninput: warn }));
    input.meaning = h('span.help', {}, shown(protocol[name], unit));
    inputs.set(name, input);
    return h('label.field', {}, h('span', {}, `${label}, ${unit}`), input, input.meaning);
  });
  const reason = textField({ least: 3 });
  const agreed = await show('Change the configuration', [
    h('p.muted.small', {}, 'This is a transaction of the program’s admin. It holds for all markets at once, those that exist included.'),
    h('div.form.pairs', {}, fields), consequences,
    h('label.field', {}, h('span', {}, 'Reason, for the audit log'), reason)], { action: 'Change it', kind: 'wide' });
  const wish = changed();
  if (!agreed) return;
  if (!Object.keys(wish).length) return toast('Nothing was changed');
  await app.admin.act('/api/admin/protocol/config', { ...wish, reason: reason.value.trim() });
  toast('The change is under way', 'ok');
  await until(() => Object.entries(wish).every(([name, value]) => app.protocol?.[name] === value));
}

/** What follows from a change and is easily overlooked. */
function warnings(before, after) {
  const fees = FEES.reduce((sum, name) => sum + after[name], 0);
  return [
    fees === 0 && 'Without any fee the program stops trading.',
    fees > BPS_MAX && `The three fees together are ${fees} bps, more than everything: the node refuses that.`,
    fees > FEES_SAFE_BPS && fees <= BPS_MAX && `The three fees together are ${fees} bps: above ${FEES_SAFE_BPS} bps buying fails.`,
    after.dispute_period !== before.dispute_period && 'The deadlines of markets that can be disputed now move too.',
  ].filter((text) => text !== false);
}

/** Reads the configuration until it is as wished, for some seconds: the transaction takes its time. */
async function until(holds) {
  for (let i = 0; i < LOOKS_MAX && !holds(); i++) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    await app.refreshProtocol();
  }
}
