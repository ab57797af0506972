"""The look of the page: one column, system fonts, light or dark as the reader's screen is."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5c6675; --line: #dfe3ea; --paper: #ffffff; --card: #f6f7f9;
  --c0: #0b62b0; --c1: #c8501a; --c2: #0a8a66; --c3: #8d4bab; --c4: #b98600; --c5: #3a8fb7; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #9aa5b5; --line: #303847; --paper: #12161d;
  --card: #1a202a; --c0: #6fb3f2; --c1: #f0936a; --c2: #58c9a5; --c3: #c997e0; --c4: #e3bd4f; --c5: #7fc4e3; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5; font: 15px/1.5 system-ui, "Segoe UI",
  Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 28px 80px; }
header p { color: var(--soft); margin: 4px 0 0; overflow-wrap: anywhere; }
h1 { font-size: 27px; line-height: 1.2; margin: 0; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 44px 0 12px; padding-bottom: 6px; border-bottom: 1px solid var(--line); }
h3 { font-size: 14px; margin: 20px 0 4px; font-weight: 600; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(128px, 1fr)); gap: 12px; margin: 26px 0 0; }
.figures div { background: var(--card); border-radius: 8px; padding: 12px 14px; }
.figures b { display: block; font-size: 23px; font-weight: 600; line-height: 1.25; }
.figures span, .note { color: var(--soft); font-size: 13px; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 8px 28px; }
figure { margin: 0; min-width: 0; }
section > figure + figure { margin-top: 14px; }
figure img { max-width: 100%; border-radius: 6px; background: #fff; display: block; margin-top: 6px; }
figcaption { color: var(--soft); font-size: 13px; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; display: block; }
svg text { font-size: 12px; fill: var(--soft); font-family: inherit; }
svg .axis { fill: var(--ink); font-size: 12.5px; }
.grid { stroke: var(--line); } .mark { stroke: var(--soft); }
.line { fill: none; stroke: currentColor; stroke-width: 1.9; stroke-linejoin: round; }
.faint { stroke-width: 1; opacity: 0.28; }
.level { stroke: currentColor; stroke-width: 1.5; stroke-dasharray: 6 4; }
circle { fill: currentColor; }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); }
.c3 { color: var(--c3); } .c4 { color: var(--c4); } .c5 { color: var(--c5); }
.legend { display: flex; flex-wrap: wrap; gap: 2px 18px; font-size: 13px; min-height: 20px; padding-left: 64px; }
.legend:empty { min-height: 4px; }
.legend i { display: inline-block; width: 18px; border-top: 2.5px solid currentColor; margin-right: 6px;
  vertical-align: middle; }
.legend .dashed i { border-top-style: dashed; }
.scroll { overflow-x: auto; } .scroll + .scroll { margin-top: 22px; }
h1 code { font-size: inherit; } pre { background: var(--card); border-radius: 8px;
  padding: 12px 14px; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th, td { padding: 5px 12px 5px 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; }
th { font-weight: 600; color: var(--soft); overflow-wrap: normal; }
.n { text-align: right; overflow-wrap: normal; white-space: nowrap; }
tr.best td { font-weight: 600; }
td:first-child code { white-space: nowrap; }
details { margin-top: 10px; } summary { color: var(--soft); cursor: pointer; }
.options { max-width: 720px; }
code { font: 12.5px ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace; }
footer { margin-top: 56px; color: var(--soft); font-size: 13px; }
@media print { main { max-width: none; padding: 0; } h2 { break-after: avoid; }
  figure, .figures { break-inside: avoid; } }
"""
