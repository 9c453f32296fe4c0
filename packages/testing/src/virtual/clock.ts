import { type Timer, TimerQueue } from './timer-queue.ts'

/** A clock whose hands a test turns. It satisfies the `Clock` of the core, so every transport takes it. */
export interface VirtualClock {
  /** The wall clock: its start, plus the milliseconds that have passed and those of `shift`. */
  now(): number
  /** Milliseconds that have passed; only `advance` and `runUntil` change them. */
  elapsed(): number
  /** Its timers never keep the process alive: nothing runs until the test moves the clock. */
  setTimeout(callback: () => void, milliseconds: number, options?: { readonly keep?: boolean }): unknown
  clearTimeout(handle: unknown): void
  /** Stands still until `work`, which takes real time, has settled. Packages that load a module when it is first needed call it. */
  hold(work: Promise<unknown>): void
  /** Moves the wall clock alone, forwards or back, as an administrator or NTP does: no time passes, and no timer runs. */
  shift(milliseconds: number): void
  /** Timers that have not run. */
  readonly pending: number
  /** Lets everything happen that needs no time: promises, and what they start in turn. */
  settle(): Promise<void>
  /** Moves time on by so many milliseconds; each timer runs at its own time, and what it starts settles before the next one. */
  advance(milliseconds: number): Promise<void>
  /**
   * Moves from timer to timer until the condition holds, or the promise has settled, and gives the promise's value.
   * Rejects when that needs more than `limit` milliseconds of virtual time (10 minutes by default) or when no timer is left.
   */
  runUntil(condition: () => boolean, limit?: number): Promise<void>
  runUntil<T>(promise: Promise<T>, limit?: number): Promise<T>
}

/** How a virtual clock begins. */
export interface VirtualClockOptions {
  /** What now() gives at first, in milliseconds; 0 by default. */
  readonly start?: number
}

// A timer that sets itself again for the same instant would stop time.
const CALLBACKS_AT_ONE_INSTANT = 1_000_000
const TURNS_TO_SETTLE = 10_000

/** A clock that stands still until a test moves it; the same calls give the same order of events every time. */
export function virtualClock({ start = 0 }: VirtualClockOptions = {}): VirtualClock {
  const queue = new TimerQueue()
  let time = 0
  let wall = start
  // Counts what happens on the clock, by which settle() sees that nothing moves any more.
  let activity = 0
  const held = new Set<Promise<unknown>>()

  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < TURNS_TO_SETTLE; turn++) {
      const before = activity
      await nextTurn()
      if (held.size > 0) await Promise.allSettled(held)
      else if (before === activity) return
    }
    throw new Error(`The app did not become idle at ${time} ms: something keeps starting work without a timer`)
  }

  const runDue = async (until: number): Promise<void> => {
    let callbacks = 0
    let instant = time
    for (let due = queue.due; due !== undefined && due <= until; due = queue.due) {
      time = Math.max(time, due)
      if (time > instant) {
        instant = time
        callbacks = 0
      }
      if (++callbacks > CALLBACKS_AT_ONE_INSTANT) throw new Error(`Endless timers at ${time} ms: a callback keeps setting a timer of 0 ms`)
      activity++
      queue.take(time)?.()
      await settle()
    }
  }

  const advance = async (milliseconds: number): Promise<void> => {
    const until = time + milliseconds
    await settle()
    await runDue(until)
    time = until
  }

  const runUntil = async <T>(goal: (() => boolean) | Promise<T>, limit = 600_000): Promise<T | undefined> => {
    let settled = false
    const mark = (): void => {
      settled = true
    }
    if (typeof goal !== 'function') goal.then(mark, mark)
    const isReached = typeof goal === 'function' ? goal : () => settled
    const end = time + limit
    await settle()
    while (!isReached()) {
      const due = queue.due
      if (due === undefined) throw new Error(`No timer is left at ${time} ms, and the awaited condition has not become true`)
      if (due > end) throw new Error(`The awaited condition did not become true within ${limit} ms; ${queue.size} timers are waiting`)
      await runDue(due)
    }
    return typeof goal === 'function' ? undefined : goal
  }

  return {
    now: () => wall + time,
    elapsed: () => time,
    hold: work => {
      const settled = (): void => void held.delete(work)
      held.add(work)
      work.then(settled, settled)
    },
    shift: milliseconds => {
      wall += milliseconds
    },
    setTimeout: (callback, milliseconds) => {
      activity++
      return queue.add(time + Math.max(0, milliseconds || 0), callback)
    },
    clearTimeout: handle => {
      activity++
      if (handle) queue.clear(handle as Timer)
    },
    get pending() {
      return queue.size
    },
    settle,
    advance,
    runUntil: runUntil as VirtualClock['runUntil']
  }
}

// Between two turns of the event loop all promises that can settle have settled. setImmediate is quicker than a port where it exists.
const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => unknown }

const nextTurn = (): Promise<void> =>
  new Promise(resolve => {
    if (setImmediate) {
      setImmediate(resolve)
      return
    }
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(null)
  })
