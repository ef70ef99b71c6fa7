/// The style sheet of the report, for screens and paper.
enum ReportStyle {
  static let css = """
    :root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --faint: #767676; --grid: #ddd;
      --good: #1b6e3c; --bad: #b3261e; --s0: #1f5fa8; --s1: #b3261e; --s2: #1b6e3c; --s3: #7a5cab; }
    @media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #161616; --faint: #a0a0a0; --grid: #3a3a3a;
      --good: #6fcf97; --bad: #ff8a80; --s0: #7db4f0; --s1: #ff8a80; --s2: #6fcf97; --s3: #c3a6f0; } }
    body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
      max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
    h1 { font-size: 1.6rem; margin-bottom: 0; }
    h2 { font-size: 1.2rem; margin-top: 2rem; }
    .verdict { font-size: 1.2rem; font-weight: 600; }
    .good { color: var(--good); } .bad { color: var(--bad); }
    .note { color: var(--faint); }
    table { border-collapse: collapse; width: 100%; margin: .5rem 0; font-variant-numeric: tabular-nums; }
    th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0;
      border-bottom: 1px solid var(--grid); }
    .number { text-align: right; }
    ul.violations { font: 13px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; padding-left: 1.2rem; }
    figure { margin: 1rem 0; } figcaption { color: var(--faint); }
    svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; }
    svg path { fill: none; stroke-width: 1.6; }
    svg path.s0 { stroke: var(--s0); } svg path.s1 { stroke: var(--s1); stroke-dasharray: 6 3; }
    svg path.s2 { stroke: var(--s2); stroke-dasharray: 2 2; } svg path.s3 { stroke: var(--s3); stroke-width: 1; }
    svg circle.s0 { fill: var(--s0); } svg circle.s1 { fill: none; stroke: var(--s1); }
    svg text { fill: var(--faint); }
    svg .grid { stroke: var(--grid); } svg .axis { stroke: var(--faint); }
    svg .mark { stroke: var(--bad); stroke-dasharray: 1 3; }
    @media print { :root { --ink: #000; --paper: #fff; --faint: #444; --grid: #bbb; --good: #000; --bad: #000;
        --s0: #000; --s1: #000; --s2: #000; --s3: #666; }
      body { font-size: 10pt; margin: 0; max-width: none; }
      h2 { break-after: avoid; } figure, table, li { break-inside: avoid; } }
    """
}
