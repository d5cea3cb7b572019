import { app } from '../app.js';
import { drawFlow, flowLegend } from '../charts/flow.js';
import { h, put } from '../dom.js';
import { address, count, percent, since, sol, units } from '../format.js';
import { blank, bones, card, cell, endCell, outcomeBadge, table } from '../parts/basics.js';
import { loader } from '../parts/loading.js';

const KEPT = 100;
const LISTED = 12;
const RELOAD_PAUSE_MS = 2_000;

/** Order flow and the latest trades. New ones arrive by push and are drawn without asking. */
export function tradesPanel(id, signal) {
  let trades = [];
  let total = 0;
  const note = h('span');
  const flow = h('div.flow');
  const list = h('div', {}, bones(4));
  const observer = new ResizeObserver(() => drawFlow(flow, trades));
  observer.observe(flow);
  signal.addEventListener('abort', () => observer.disconnect());

  const draw = () => {
    put(note, total === 1 ? '1 trade' : `${count(total)} trades`);
    drawFlow(flow, trades);
    put(list, trades.length ? table('Latest trades', ['Trade', ['Shares', 'end'], ['Paid', 'end'], ['YES after', 'end'], 'Trader', ['When', 'end']], trades.slice(0, LISTED).map(row)) : blank('No trades yet.'));
  };
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
    draw();
  };
  return { element: card('Order flow', { note, tools: flowLegend() }, h('div.card-body', {}, flow), list), load, receive };
}

function row(trade) {
  return h('tr', { 'data-trade': trade.id },
    cell(h('span.row.nowrap', {}, trade.trade_type === 'buy' ? 'Buy' : 'Sell', outcomeBadge(trade.outcome))),
    endCell(units(trade.shares, 2)),
    endCell(sol(trade.cost, 4)),
    endCell(percent(trade.price_after)),
    cell(h('span.mono', { title: trade.trader }, address(trade.trader))),
    endCell(h('a', { href: `#/events?q=${trade.signature}`, title: 'Events of this transaction' }, since(trade.block_time, app.chainNowMs()))));
}
