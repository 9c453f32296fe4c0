/** What `setTimeout` of a clock gives back. */
export type TimerHandle = unknown

/** How a timer behaves. */
export interface TimerOptions {
  /** True while a caller waits for what the timer ends: it keeps the process alive. Housekeeping, without it, does not. */
  readonly keep?: boolean
}

/** Time, so that tests can move it by themselves. */
export interface Clock {
  /** The wall clock, in milliseconds since 1970; it may jump. For dates that are shown or stored across restarts, and nothing else. */
  now(): number
  /** Milliseconds that have passed since some moment; never jumps and never goes back. For every duration. */
  elapsed(): number
  /** Runs `callback` once after `ms` milliseconds, and after pending input was read: a blocked event loop must not end a peer. */
  setTimeout(callback: () => void, ms: number, options?: TimerOptions): TimerHandle
  clearTimeout(handle: TimerHandle): void
  /** Gets work that takes real time, such as the loading of a module: a clock that a test moves stands still until it has settled. */
  hold?(work: Promise<unknown>): void
}

/** A timer of the machine: it waits for its time, then for two turns of the event loop, of which the first accepts connections and the second reads them. */
interface SystemTimer {
  timer?: unknown
  turn?: unknown
}

interface Turns {
  setImmediate?(callback: () => void): unknown
  clearImmediate?(handle: unknown): void
}

// A longer time, or none, would run the callback at once (HTML section 8.6, Node's timers likewise).
const LONGEST_TIMEOUT = 2 ** 31 - 1

/** The clock of the machine; it waits 24 days at most. */
export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  setTimeout: (callback, ms, options) => {
    const handle: SystemTimer = {}
    const run = (): void => {
      const { setImmediate } = globalThis as Turns
      if (setImmediate === undefined) callback()
      else
        handle.turn = setImmediate(() => {
          handle.turn = setImmediate(callback)
        })
    }
    const timer: unknown = setTimeout(run, Math.min(ms, LONGEST_TIMEOUT))
    // Node gives an object here, browsers a number.
    if (options?.keep !== true && typeof timer === 'object' && timer !== null) (timer as { unref?: () => void }).unref?.()
    handle.timer = timer
    return handle
  },
  clearTimeout: handle => {
    if (handle === null || handle === undefined) return
    const { timer, turn } = handle as SystemTimer
    clearTimeout(timer as Parameters<typeof clearTimeout>[0])
    if (turn !== undefined) (globalThis as Turns).clearImmediate?.(turn)
  }
}

/** A module that is loaded when it is first needed: `loaded(clock, import(module))`. Time that a test moves stands still meanwhile. */
export const loaded = <T>(clock: Clock, module: Promise<T>): Promise<T> => {
  clock.hold?.(module)
  return module
}

/** True when `work` has settled within `delay` ms, false otherwise; rejects with it. */
export const withinTime = async (clock: Clock, delay: number, work: Promise<unknown>): Promise<boolean> => {
  let late: TimerHandle
  const limit = new Promise<false>(resolve => {
    late = clock.setTimeout(() => resolve(false), delay, { keep: true })
  })
  try {
    return await Promise.race([work.then(() => true), limit])
  } finally {
    clock.clearTimeout(late)
  }
}
