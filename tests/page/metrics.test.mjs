/** What the page reads from the node's metrics. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { difference, readMetrics } from '../../static/page/metrics.js';

const text = (fast, slow, commits) => `# HELP zmart_http_requests_total x
zmart_http_requests_total{method="GET",route="/api/markets",status="200"} ${fast + slow}
zmart_http_requests_total{method="GET",route="/api/markets",status="503"} 1
zmart_event_loop_lag_seconds 0.004
zmart_http_request_duration_seconds_bucket{le="0.005",method="GET",route="/api/markets"} ${fast}
zmart_http_request_duration_seconds_bucket{le="0.5",method="GET",route="/api/markets"} ${fast + slow}
zmart_http_request_duration_seconds_bucket{le="+Inf",method="GET",route="/api/markets"} ${fast + slow}
zmart_http_request_duration_seconds_bucket{le="+Inf",method="GET",route="/status"} 1000
zmart_store_commit_duration_seconds_sum ${commits * 0.002}
zmart_store_commit_duration_seconds_count ${commits}
`;

const between = (before, after) => difference({ at: 0, ...readMetrics(before) }, { at: 2_000, ...readMetrics(after) });

test('rates, the 99th percentile and commits are differences', () => {
  const found = between(text(10, 0, 5), text(200, 10, 7));
  assert.equal(found.perSecond, 100);
  assert.deepEqual([found.requests, found.errors, found.loopMs], [211, 1, 4]);
  assert.equal(found.p99Ms, 500);
  assert.ok(Math.abs(found.commitMs - 2) < 1e-6);
});

test('the page does not count itself, and nothing is no zero', () => {
  const found = between(text(10, 0, 5), text(10, 0, 5));
  assert.deepEqual([found.perSecond, found.p99Ms, found.commitMs], [0, null, null]);
});

test('a node that was restarted counts from zero', () => {
  assert.equal(between(text(100, 0, 5), text(1, 0, 0)).perSecond, 0);
});
