/** Numbers, times and addresses as people read them. Amounts come as strings of base units and stay exact until here. */

const NINE = 1_000_000_000n;
const whole = new Intl.NumberFormat('en');
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const day = new Intl.DateTimeFormat('en', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });

const ABBREVIATIONS = { ipfs: 'IPFS', api: 'API', websocket: 'WebSocket' };
const STEPS = [[86_400, 'd'], [3_600, 'h'], [60, 'min'], [1, 's']];

export const count = (value) => (value === null || value === undefined ? '–' : whole.format(value));
/** 1 → '1 trade', 1200 → '1,200 trades'. */
export const plural = (value, thing) => `${count(value)} ${thing}${value === 1 ? '' : 's'}`;
export const short = (value) => (Math.abs(value) < 10_000 ? whole.format(Math.round(value * 10) / 10) : compact.format(value));

/** Base units with nine decimals (lamports, shares) as a decimal with up to `digits` of them. */
export function units(text, digits = 3) {
  return text === null || text === undefined ? '–' : fixed(text, digits).replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, '');
}

/** The same with exactly `digits` decimals, so that a column of them stands in line. */
export function fixed(text, digits) {
  const value = BigInt(text);
  const magnitude = value < 0n ? -value : value;
  const step = 10n ** BigInt(9 - digits);
  const rounded = (magnitude + step / 2n) / step;
  const unit = 10n ** BigInt(digits);
  const fraction = (rounded % unit).toString().padStart(digits, '0');
  const sign = value < 0n && rounded > 0n ? '−' : '';
  return sign + whole.format(rounded / unit) + (digits ? `.${fraction}` : '');
}

export const sol = (text, digits = 3) => `${units(text, digits)} SOL`;

/** What somebody typed as SOL or shares, in base units; null for anything but a positive decimal. */
export function baseUnits(text) {
  const match = /^(\d{1,10})(?:[.,](\d{1,9}))?$/.exec(text.trim());
  if (!match) return null;
  const value = BigInt(match[1]) * NINE + BigInt((match[2] ?? '').padEnd(9, '0'));
  return value > 0n ? value.toString() : null;
}

/** 0–1 as percent. */
export const percent = (share, digits = 1) => (share === null || share === undefined ? '–' : `${(share * 100).toFixed(digits)} %`);
/** 7255 → '72.55 %'. */
export const bps = (value) => `${(value / 100).toFixed(2).replace(/\.?0+$/, '')} %`;

export const address = (text) => (text && text.length > 12 ? `${text.slice(0, 4)}…${text.slice(-4)}` : (text ?? '–'));
export const time = (iso) => (iso ? clock.format(new Date(iso)) : '–');
export const date = (iso) => (iso ? day.format(new Date(iso)) : '–');

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** 1536 → ['1.5', 'KiB']. */
export function size(bytes) {
  const step = Math.min(SIZES.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  const value = bytes / 1024 ** step;
  return [step && value < 100 ? value.toFixed(1) : whole.format(Math.round(value)), SIZES[step]];
}

/** 93784 s → '1 d 2 h'. */
export function duration(seconds) {
  let left = Math.max(0, Math.round(seconds));
  const first = STEPS.findIndex(([size]) => left >= size);
  if (first < 0) return '0 s';
  const parts = [];
  for (const [size, name] of STEPS.slice(first, first + 2)) {
    const amount = Math.floor(left / size);
    left -= amount * size;
    if (amount) parts.push(`${amount} ${name}`);
  }
  return parts.join(' ');
}

/** How long before or after `nowMs` a time is. */
export function since(iso, nowMs = Date.now()) {
  if (!iso) return '–';
  const seconds = (nowMs - Date.parse(iso)) / 1000;
  if (Math.abs(seconds) < 2) return 'now';
  return seconds > 0 ? `${brief(seconds)} ago` : `in ${brief(-seconds)}`;
}

function brief(seconds) {
  const [size, name] = STEPS.find(([each]) => seconds >= each) ?? [1, 's'];
  return `${Math.floor(seconds / size)} ${name}`;
}

/** 'market_transitions' → 'Market transitions'; 'ACTIVE' → 'Active'. */
export function words(name) {
  const text = String(name).replace(/[_-]+/g, ' ').replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase();
  return ABBREVIATIONS[text] ?? (text.charAt(0).toUpperCase() + text.slice(1)).replace(/\brpc\b/, 'RPC');
}
