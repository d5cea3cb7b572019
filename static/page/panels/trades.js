import { app } from '../app.js';
import { FlowChart, flowLegend } from '../charts/flow.js';
import { h, put } from '../dom.js';
import { joined } from '../follow.js';
import { fixed, percent, plural, since } from '../format.js';
import { blank, bones, card, cell, endCell, outcomeBadge, table } from '../parts/basics.js';
import { walletLink } from '../parts/explorer.js';
import { loader } from '../parts/loading.js';

const KEPT = 100;
const LISTED = 8;
const RELOAD_PAUSE_MS = 2_000;
const HEADS = ['Trade', ['Shares', 'end'], ['SOL', 'end'], ['YES after', 'end spare'], ['Trader', 'spare'], ['When', 'end']];

/** Order flow and the latest trades. New ones arrive by push and are drawn without asking. */
export function tradesPanel(id, signal) {
  let trades = [];
  let total = 0;
  const note = h('span');
  const chart = new FlowChart(signal);
  const list = h('div', {}, bones(4));

  const draw = () => {
    put(note, plural(total, 'trade'));
    chart.element.hidden = !trades.length;
    chart.show(trades);
    put(list, trades.length ? table('Latest trades', HEADS, trades.slice(0, LISTED).map(row)) : blank('No trades yet.', 'The first one appears here by itself.'));
  };
  const soon = joined(draw, signal);
  const load = loader({ body: list, pauseMs: RELOAD_PAUSE_MS, signal }, async () => {
    const page = await app.zmart.get(`/api/markets/${id}/trades`, { limit: KEPT }, { signal });
    trades = page.trades;
    total = page.total_count;
    draw();
  });
  const receive = (type, data) => {
    if (type !== 'trade' || trades.some((trade) => trade.id === data.id)) return;
    trades = [data, ...trades].slice(0, KEPT);
    total += 1;
    soon();
  };
  return { element: card('Order flow', { note, tools: flowLegend() }, h('div.card-body.chart-body', {}, chart.element), list), load, receive };
}

function row(trade) {
  return h('tr', { 'data-trade': trade.id },
    cell(h('span.row.nowrap', {}, trade.trade_type === 'buy' ? 'Buy' : 'Sell', outcomeBadge(trade.outcome))),
    endCell(fixed(trade.shares, 2)),
    endCell(fixed(trade.cost, 4)),
    endCell(percent(trade.price_after)),
    cell(walletLink(trade.trader)),
    endCell(h('a.nowrap', { href: `#/events?tab=chain&q=${trade.signature}`, title: 'Events of this transaction' }, since(trade.block_time, app.chainNowMs()))));
}
