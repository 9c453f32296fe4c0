// Ratios of two contenders, measured in the same rounds: their median, and how far it may be off.
import { median } from '../../benchmarks/harness.mjs'

const RESAMPLES = 10_000

/** The interval that holds the median with 95 % on each side: bootstrap over rounds. */
export const intervalOf = ratios => {
  const medians = Float64Array.from({ length: RESAMPLES }, () => median(ratios.map(() => ratios[Math.floor(Math.random() * ratios.length)]))).sort()
  return { low: medians[Math.floor(RESAMPLES * 0.05)], median: median(ratios), high: medians[Math.ceil(RESAMPLES * 0.95) - 1] }
}

/** How much two equal contenders seem to differ: the larger of both directions, at least 1. */
export const widthOf = ({ low, high }) => Math.max(high, 1 / low, 1)
