/** Bar charts as SVG that can be read on light and on dark ground, without a library. */

export type Bar = { readonly value: number; readonly least?: number; readonly most?: number; readonly text: string }
export type Group = { readonly name: string; readonly bars: readonly (Bar | undefined)[] }

export type Chart = {
  readonly title: string
  /** For those who cannot see it. */
  readonly description: string
  /** One for each bar of a group, in order. */
  readonly legend: readonly string[]
  readonly groups: readonly Group[]
  /** A line that bars are to be compared with, at this value. */
  readonly line?: number
}

const width = 860
const left = 190
const right = 90
const thick = 16
const gap = 14
const head = 70

/** Horizontal bars in groups, each with its whisker and its figure. */
export function barChart(chart: Chart): string {
  const groups = chart.groups.map(({ name, bars }) => ({
    name,
    bars: bars.map((bar, i) => ({ bar, i })).filter(({ bar }) => bar !== undefined),
  }))
  const most = Math.max(chart.line ?? 0, ...chart.groups.flatMap(({ bars }) => bars.map((bar) => bar?.most ?? bar?.value ?? 0)))
  const scale = (value: number) => left + ((width - left - right) * value) / (most || 1)
  const body: string[] = []
  let y = head
  for (const { name, bars } of groups) {
    body.push(text(left - 10, y + (bars.length * thick) / 2 + 4, name, 'end'))
    for (const { bar, i } of bars) {
      if (bar === undefined) continue
      body.push(...oneBar(bar, i, y, scale))
      y += thick
    }
    y += gap
  }
  const line =
    chart.line === undefined
      ? []
      : [`<line class="mark" x1="${at(scale(chart.line))}" y1="${head - 6}" x2="${at(scale(chart.line))}" y2="${y - gap + 6}"/>`]
  return document(chart, y, [...legend(chart.legend), ...body, ...line])
}

function oneBar(bar: Bar, i: number, y: number, scale: (value: number) => number): string[] {
  const middle = y + thick / 2 - 1
  const rect = `<rect class="bar${i}" x="${left}" y="${y}" width="${at(Math.max(1, scale(bar.value) - left))}" height="${thick - 2}"/>`
  const [from, to] = [scale(bar.least ?? bar.value), scale(bar.most ?? bar.value)]
  const whisker =
    to - from < 1
      ? []
      : [`<path class="whisker" d="M${at(from)} ${middle}H${at(to)}M${at(from)} ${middle - 4}v8M${at(to)} ${middle - 4}v8"/>`]
  return [rect, ...whisker, text(Math.max(to, scale(bar.value)) + 6, y + thick - 4, bar.text, 'start')]
}

const legend = (names: readonly string[]): string[] => {
  let x = left
  return names.flatMap((name, i) => {
    const here = x
    x += 34 + name.length * 7.5
    return [`<rect class="bar${i}" x="${at(here)}" y="40" width="12" height="12"/>`, text(here + 18, 51, name, 'start')]
  })
}

/** The ground is left as it is; ink and colours follow the reader's scheme. */
const style = `
    text { fill: #1f2328; font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif }
    .title { font-size: 16px; font-weight: 600 }
    .bar0 { fill: #8c959f } .bar1 { fill: #57606a } .bar2 { fill: #1f6feb } .bar3 { fill: #1a7f64 }
    .whisker { stroke: #1f2328; fill: none } .mark { stroke: #b3543a; stroke-width: 1.5; stroke-dasharray: 5 4 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .bar0 { fill: #6e7681 } .bar1 { fill: #9ea7b3 } .bar2 { fill: #4c8dff } .bar3 { fill: #3fb68b }
      .whisker { stroke: #e6edf3 } .mark { stroke: #f0883e }
    }
  `

const document = ({ title, description }: Chart, height: number, body: readonly string[]): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="t d">
  <title id="t">${escaped(title)}</title>
  <desc id="d">${escaped(description)}</desc>
  <style>${style}</style>
  <text class="title" x="10" y="22">${escaped(title)}</text>
  ${body.join('\n  ')}
</svg>
`

const text = (x: number, y: number, words: string, anchor: 'start' | 'end'): string =>
  `<text x="${at(x)}" y="${at(y)}" text-anchor="${anchor}">${escaped(words)}</text>`

const at = (value: number): string => String(Math.round(value * 10) / 10)

const escaped = (words: string): string => words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
