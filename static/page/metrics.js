/** The few of the node's Prometheus metrics that the page draws. */

const LINE = /^(zmart_\w+)(?:\{([^}]*)\})? (\S+)$/gm;
const LE = /le="([^"]+)"/;
const DURATION = 'zmart_http_request_duration_seconds_bucket';
const FAILED = /status="5\d\d"/;
const NOT_TRAFFIC = /route="\/(?:metrics|status|health|static)|route="\/api\/stream/;

/**
 * @param {string} text Prometheus exposition format
 * @returns {{requests: number, errors: number, buckets: Map<number, number>, commitSum: number, commitCount: number, loopS: number}} totals
 *   since the start, and how late the event loop is
 */
export function readMetrics(text) {
  const found = { requests: 0, errors: 0, buckets: new Map(), commitSum: 0, commitCount: 0, loopS: 0 };
  for (const [, name, labels = '', value] of text.matchAll(LINE)) {
    if (name === 'zmart_http_requests_total') addRequests(found, labels, Number(value));
    else if (name === 'zmart_event_loop_lag_seconds') found.loopS = Number(value);
    else if (name === 'zmart_store_commit_duration_seconds_sum') found.commitSum = Number(value);
    else if (name === 'zmart_store_commit_duration_seconds_count') found.commitCount = Number(value);
    else if (name === DURATION && !NOT_TRAFFIC.test(labels)) addBucket(found.buckets, labels, Number(value));
  }
  return found;
}

function addRequests(found, labels, value) {
  found.requests += value;
  if (FAILED.test(labels)) found.errors += value;
}

function addBucket(buckets, labels, value) {
  const edge = LE.exec(labels)?.[1];
  const limit = edge === '+Inf' ? Infinity : Number(edge);
  buckets.set(limit, (buckets.get(limit) ?? 0) + value);
}

/** What happened between two readings. */
export function difference(before, after) {
  const seconds = Math.max(0.001, (after.at - before.at) / 1000);
  const commits = after.commitCount - before.commitCount;
  return {
    requests: after.requests,
    errors: after.errors,
    loopMs: after.loopS * 1000,
    perSecond: Math.max(0, after.requests - before.requests) / seconds,
    p99Ms: quantileMs(before.buckets, after.buckets, 0.99),
    commitMs: commits > 0 ? ((after.commitSum - before.commitSum) / commits) * 1000 : null,
  };
}

/** The upper edge of the bucket that holds the quantile; null when there was nothing. */
function quantileMs(before, after, share) {
  const edges = [...after.keys()].sort((a, b) => a - b);
  const counts = edges.map((edge) => after.get(edge) - (before.get(edge) ?? 0));
  const total = counts.at(-1) ?? 0;
  if (total <= 0) return null;
  const found = edges[counts.findIndex((count) => count >= total * share)];
  return (Number.isFinite(found) ? found : (edges.at(-2) ?? 0)) * 1000;
}
