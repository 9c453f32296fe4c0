// A line over time, drawn as two paths of an SVG.

const WIDTH = 240
const HEIGHT = 48
const MARGIN = 3

/** Draws readings `{ at, value }`, the oldest first, between two times. */
export const drawSparkline = (svg, readings, { from, to }) => {
  const values = readings.map(({ value }) => value)
  const low = Math.min(...values)
  const high = Math.max(...values)
  // The difference of the largest numbers is not finite, that of their halves is.
  const scale = Number.isFinite(high - low) ? 1 : 0.5
  const span = high * scale - low * scale || 1
  const points = readings.map(({ at, value }) => {
    const x = ((Math.max(at, from) - from) / (to - from)) * WIDTH
    const y = high === low ? HEIGHT / 2 : HEIGHT - MARGIN - ((value * scale - low * scale) / span) * (HEIGHT - 2 * MARGIN)
    return `${x.toFixed(1)},${y.toFixed(1)}`
  })
  // The last value holds until now.
  if (points.length > 0) points.push(`${WIDTH},${points.at(-1).split(',')[1]}`)
  const line = points.length === 0 ? '' : `M${points.join('L')}`
  svg.querySelector('.line').setAttribute('d', line)
  svg.querySelector('.area').setAttribute('d', line === '' ? '' : `${line}V${HEIGHT}H${points[0].split(',')[0]}Z`)
}
