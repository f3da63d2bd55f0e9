"""The report's style sheet: light and dark, one column on a phone, two on a screen, paper when printed."""

CSS = """
:root {
  color-scheme: light dark;
  --page: #f4f5f8; --card: #ffffff; --ink: #1b2230; --soft: #5a6475; --line: #e3e6ed; --grid: #eceff4;
  --mark: #b4bcc9; --accent: #2b59c3; --good: #1d7a46; --good-bg: #e8f5ed; --warn: #9a5b00; --warn-bg: #fff5e2;
  --code: #f7f8fb;
  --c0: #2b6cd4; --c1: #d9541e; --c2: #178f68; --c3: #a23fa8;
  --c4: #b58900; --c5: #0c93b8; --c6: #c9305a; --c7: #6b7686;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0e1117; --card: #161b24; --ink: #e5e9f0; --soft: #9aa5b6; --line: #283040; --grid: #212936;
    --mark: #4b5769; --accent: #84a9ff; --good: #6fd39b; --good-bg: #12291d; --warn: #f0b35a; --warn-bg: #2d2213;
    --code: #10151d;
    --c0: #6ea8ff; --c1: #ff8f5c; --c2: #4fd0a1; --c3: #d58be0;
    --c4: #e6c04a; --c5: #55c8ea; --c6: #ff7a9c; --c7: #a3aebf;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "DejaVu Sans", sans-serif;
  -webkit-text-size-adjust: 100%;
}
main, header, footer { max-width: 1120px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 44px; }
h1 {
  margin: 0; font-size: 30px; line-height: 1.2; font-weight: 650; letter-spacing: -0.015em; overflow-wrap: anywhere;
}
.subtitle { margin: 6px 0 0; color: var(--soft); overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: 8px; margin: 22px 0 0; padding: 0; }
nav a {
  padding: 3px 13px; border: 1px solid var(--line); border-radius: 999px; background: var(--card);
  color: var(--soft); font-size: 14px; text-decoration: none;
}
nav a:hover { color: var(--accent); border-color: var(--accent); }
section { margin-top: 40px; scroll-margin-top: 16px; }
h2 { margin: 0 0 14px; font-size: 20px; line-height: 1.3; font-weight: 620; letter-spacing: -0.005em; }
p { margin: 0 0 12px; max-width: 75ch; }
.note { margin: 8px 0 0; color: var(--soft); font-size: 13px; line-height: 1.45; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 400px), 1fr)); gap: 18px; }
.figures, .table, .tiles, .warnings, details { margin-bottom: 18px; }
figure, .table, details, .tiles { background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
figure { margin: 0; padding: 16px 18px 14px; min-width: 0; }
figure.wide { grid-column: 1 / -1; }
figcaption { font-weight: 600; font-size: 15px; line-height: 1.4; }
figure.image { text-align: center; }
figure.image img { display: block; margin: 2px auto 10px; max-width: 100%; height: auto; border-radius: 4px; }
.framed { display: inline-block; max-width: 100%; }
.columns { display: grid; width: 0; min-width: 100%; grid-auto-flow: column; grid-auto-columns: minmax(0, 1fr); }
.columns span { font-size: 12.5px; line-height: 1.3; color: var(--soft); padding: 0 2px; }
figcaption small { margin-left: 8px; font-weight: 400; font-size: 12.5px; color: var(--soft); }
figure.image img.crisp { image-rendering: pixelated; }
figure.image figcaption { font-weight: 400; font-size: 14px; color: var(--soft); }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 5px 0 2px; padding: 0; list-style: none; }
.legend li { color: var(--soft); font-size: 13px; white-space: nowrap; }
.legend b { color: var(--ink); font-weight: 600; font-variant-numeric: tabular-nums; }
.key { width: 18px; height: 8px; margin-right: 6px; vertical-align: 1px; }
.plot { display: block; width: 100%; height: auto; margin-top: 4px; }
.plot text { font-size: 11.5px; fill: var(--soft); font-variant-numeric: tabular-nums; }
.plot .axis { font-size: 11.5px; fill: var(--soft); }
.middle { text-anchor: middle; } .end { text-anchor: end; }
.grid { stroke: var(--grid); stroke-width: 1; }
.zero, .mark { stroke: var(--mark); stroke-width: 1; }
.line { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.faint { fill: none; stroke: var(--c); stroke-width: 1; stroke-opacity: 0.24; stroke-linejoin: round; }
.band { fill: var(--c); fill-opacity: 0.11; stroke: none; }
.dot { fill: var(--card); stroke: var(--c); stroke-width: 1.6; }
.bar { fill: var(--c); fill-opacity: 0.8; }
.whisker { fill: none; stroke: var(--ink); stroke-width: 1.2; }
.plot .name, .plot .value { fill: var(--ink); font-size: 12.5px; }
.dashed { stroke-dasharray: 5 4; }
.s0 { --c: var(--c0); } .s1 { --c: var(--c1); } .s2 { --c: var(--c2); } .s3 { --c: var(--c3); }
.s4 { --c: var(--c4); } .s5 { --c: var(--c5); } .s6 { --c: var(--c6); } .s7 { --c: var(--c7); }
.table { overflow-x: auto; padding: 4px 0; }
table { border-collapse: collapse; width: 100%; font-size: 14.5px; font-variant-numeric: tabular-nums; }
caption { caption-side: bottom; padding: 10px 18px 8px; color: var(--soft); font-size: 13px; text-align: left; }
th, td { padding: 8px 18px; text-align: left; border-bottom: 1px solid var(--grid); }
th { color: var(--soft); font-weight: 600; font-size: 13px; white-space: nowrap; border-bottom-color: var(--line); }
td:first-child { font-weight: 550; }
tbody tr:last-child td { border-bottom: 0; }
.number { text-align: right; white-space: nowrap; }
td small { display: block; color: var(--soft); font-size: 12px; }
details ul { margin: 0 0 16px; padding-left: 20px; font-size: 14px; color: var(--soft); }
details li { margin-bottom: 6px; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); margin-top: 0; padding: 8px 4px; }
.tiles div { padding: 10px 16px; min-width: 0; }
.tiles dt { color: var(--soft); font-size: 13px; line-height: 1.4; }
.tiles dd {
  margin: 2px 0 0; font-size: 18px; line-height: 1.35; font-weight: 600; overflow-wrap: anywhere;
  font-variant-numeric: tabular-nums;
}
.warnings { display: grid; gap: 10px; margin-top: 0; padding: 0; list-style: none; }
.warnings li, .fine {
  padding: 12px 18px; border-radius: 10px; border-left: 4px solid var(--warn); background: var(--warn-bg);
  max-width: none;
}
.warnings b { color: var(--warn); } .warnings span { color: var(--soft); font-size: 13.5px; margin-left: 8px; }
.warnings p { margin: 2px 0 0; font-size: 15px; max-width: 90ch; }
.fine { border-left-color: var(--good); background: var(--good-bg); margin-bottom: 18px; }
details { padding: 0 18px; }
summary { padding: 12px 0; cursor: pointer; font-weight: 600; font-size: 15px; }
pre {
  margin: 0 0 16px; padding: 14px 16px; overflow-x: auto; border-radius: 8px; background: var(--code);
  font: 13px/1.55 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
footer { padding-top: 28px; padding-bottom: 40px; color: var(--soft); font-size: 13px; }
@media (max-width: 560px) {
  main, header, footer { padding-left: 14px; padding-right: 14px; }
  header { padding-top: 26px; } h1 { font-size: 24px; } figure { padding: 12px 12px 10px; }
  th, td { padding-left: 12px; padding-right: 12px; }
  .plot text, .plot .axis { font-size: 15px; }
}
@media print {
  body { background: #fff; } nav { display: none; } figure, .table, .tiles { break-inside: avoid; }
}
"""
