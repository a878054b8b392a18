"""The look of the report: one stylesheet, no scripts, nothing loaded from elsewhere."""

STYLE = """
:root { color-scheme: light dark; --page: #f5f6f8; --card: #ffffff; --ink: #1b1f24; --soft: #5d6672; --line: #e0e4e9; --accent: #2f6db3;
  --good: #1a7f4b; --bad: #b42318; --warn: #8a5a00; --warn-page: #fdf3dd; --bad-page: #fdecea; --plus: #b8651b; --minus: #2f6db3; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14171b; --card: #1c2026; --ink: #e6e9ed; --soft: #98a2b0; --line: #2e343d; --accent: #78aeea;
    --good: #5fca93; --bad: #f28b82; --warn: #e6b450; --warn-page: #2e2716; --bad-page: #331d1b; --plus: #e39a5b; --minus: #78aeea; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 20px 64px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { font-size: 18px; line-height: 1.3; margin: 0; overflow-wrap: anywhere; }
h3 { font-size: 12px; margin: 20px 0 6px; color: var(--soft); font-weight: 600; letter-spacing: 0.04em; text-transform: uppercase; }
a { color: var(--accent); }
header { margin-bottom: 20px; }
.title { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 12px; }
.pill { font-size: 12px; font-weight: 600; padding: 2px 9px; border-radius: 99px; border: 1px solid currentColor; white-space: nowrap;
  color: var(--soft); }
.done { color: var(--good); } .failed { color: var(--bad); } .interrupted, .cancelled, .skipped { color: var(--warn); }
.plus { color: var(--plus); } .minus { color: var(--minus); }
dl.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 10px 20px; margin: 16px 0 0; }
dl.facts dt { font-size: 12px; color: var(--soft); } dl.facts dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 18px 20px; margin: 14px 0; }
.summary { white-space: pre-wrap; margin: 10px 0 0; font-size: 16px; overflow-wrap: anywhere; }
.meta { color: var(--soft); font-size: 13px; margin-left: auto; font-variant-numeric: tabular-nums; }
.numbers { display: grid; grid-template-columns: repeat(auto-fill, minmax(160px, 1fr)); gap: 10px; margin: 14px 0 0; }
.number { border: 1px solid var(--line); border-radius: 8px; padding: 8px 12px; min-width: 0; }
.number b { display: block; font-size: 19px; font-weight: 600; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.number span { font-size: 12px; color: var(--soft); overflow-wrap: anywhere; } .number small { font-size: 13px; font-weight: 400;
  color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; min-width: min(100%, 320px); }
th, td { text-align: left; padding: 5px 14px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
th { font-size: 12px; font-weight: 600; color: var(--soft); } tr:last-child td { border-bottom: 0; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; } td.t { max-width: 60ch;
  overflow-wrap: break-word; }
figure { margin: 12px 0 0; } figure img { display: block; max-width: 100%; height: auto; background: #fff;
  border: 1px solid var(--line); border-radius: 8px; }
figcaption { font-size: 12px; color: var(--soft); margin-top: 4px; }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); gap: 14px; }
.curve { min-width: 0; } .curve svg { display: block; width: 100%; height: auto; } .curve .name { font-size: 13px; display: flex;
  gap: 8px; }
.curve .name b { margin-left: auto; font-variant-numeric: tabular-nums; }
.curve polyline { fill: none; stroke: var(--accent); stroke-width: 1.6; stroke-linejoin: round; vector-effect: non-scaling-stroke; }
.curve line { stroke: var(--line); vector-effect: non-scaling-stroke; } .curve text { fill: var(--soft); font-size: 10px;
  paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
.note { border-radius: 8px; padding: 9px 13px; margin: 12px 0 0; overflow-wrap: anywhere; white-space: pre-wrap; }
.warning { background: var(--warn-page); color: var(--warn); } .error { background: var(--bad-page); color: var(--bad); }
.note small { display: block; color: inherit; opacity: 0.85; }
nav ol { list-style: none; padding: 0; margin: 0; } nav li { display: flex; gap: 10px; padding: 5px 0;
  border-bottom: 1px solid var(--line); align-items: baseline; }
nav li:last-child { border-bottom: 0; } nav a { text-decoration: none; min-width: 9em; } nav .line { color: var(--soft); min-width: 0;
  overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap; flex: 1; } nav .time { font-variant-numeric: tabular-nums; color: var(--soft);
  white-space: nowrap; }
details { margin-top: 14px; } summary { cursor: pointer; color: var(--soft); font-size: 13px; }
footer { color: var(--soft); font-size: 13px; margin-top: 22px; }
@media (max-width: 560px) { main { padding: 18px 12px 40px; } section { padding: 14px; } .meta { margin-left: 0; flex-basis: 100%; }
  nav .line { display: none; }
  nav a { flex: 1; } }
@media print { body { background: #fff; } section { break-inside: avoid; } }
"""
