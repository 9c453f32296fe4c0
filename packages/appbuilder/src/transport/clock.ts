/** What `setTimeout` of a clock gives back. */
export type TimerHandle = unknown

/** Time, so that tests can move it by themselves. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** Runs `callback` once after `ms` milliseconds; such a timer does not keep the process alive. */
  setTimeout(callback: () => void, ms: number): TimerHandle
  clearTimeout(handle: TimerHandle): void
}

// A longer time, or none, would run the callback at once (HTML section 8.6, Node's timers likewise).
const LONGEST_TIMEOUT = 2 ** 31 - 1

/** The clock of the machine; it waits 24 days at most. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: (callback, ms) => {
    const handle: unknown = setTimeout(callback, Math.min(ms, LONGEST_TIMEOUT))
    // Node gives an object here, browsers a number.
    if (typeof handle === 'object' && handle !== null) (handle as { unref?: () => void }).unref?.()
    return handle
  },
  clearTimeout: handle => clearTimeout(handle as Parameters<typeof clearTimeout>[0])
}

/** True when `work` has settled within `delay` ms, false otherwise; rejects with it. */
export const withinTime = async (clock: Clock, delay: number, work: Promise<unknown>): Promise<boolean> => {
  let late: TimerHandle
  const limit = new Promise<false>(resolve => {
    late = clock.setTimeout(() => resolve(false), delay)
  })
  try {
    return await Promise.race([work.then(() => true), limit])
  } finally {
    clock.clearTimeout(late)
  }
}
