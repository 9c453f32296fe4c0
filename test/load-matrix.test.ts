import { describe, expect, test } from 'vitest'
import { type Cell, runCell } from './load-matrix/cell.ts'

// `pnpm load-matrix` runs every cell for ten seconds; `npm test` runs three of them for less than a second.
const WHOLE = process.env['LOAD_MATRIX'] !== undefined
const DURATION = Number(process.env['LOAD_MATRIX'] ?? 0) || 800

const cells: Cell[] = WHOLE
  ? ([4, 5] as const).flatMap(version =>
      [20, 1000].flatMap(publishers => [5, 50, 500].map(handler => ({ version, publishers, handler, duration: DURATION, asks: 8 })))
    )
  : [
      { version: 5, publishers: 20, handler: 5, duration: DURATION, asks: 2 },
      { version: 4, publishers: 20, handler: 50, duration: DURATION, asks: 2 },
      { version: 5, publishers: 100, handler: 500, duration: DURATION, asks: 2 }
    ]

describe('publishers at their receive maximum', () => {
  test.each(cells)('are served by MQTT $version: $publishers publishers, handlers of $handler ms', { timeout: 120_000 }, async cell => {
    const result = await runCell(cell)
    const { acknowledged, refused, closed, answered, asides, p50, p99, growth, expelled, outrun, fast, slow, lines } = result
    if (WHOLE)
      console.log(
        `v${cell.version} ${cell.publishers} x ${cell.handler} ms: acknowledged ${acknowledged}, answered ${answered}, to fast ${fast}, to slow ${slow}, ` +
          `expelled ${expelled}, outrun ${outrun}, aside ${asides} p50 ${p50.toFixed(1)} p99 ${p99.toFixed(1)} ms, growth ${growth.toFixed(1)} MiB\n${lines.slice(0, 3).join('\n')}`
      )
    expect({ refused, closed }).toEqual({ refused: 0, closed: 0 })
    expect(acknowledged).toBeGreaterThan(0)
    expect(answered).toBeGreaterThan(0)
    expect(asides).toBeGreaterThan(10)
    if (WHOLE) {
      expect(p99).toBeLessThan(50)
      expect(growth).toBeLessThan(64)
    }
  })
})
