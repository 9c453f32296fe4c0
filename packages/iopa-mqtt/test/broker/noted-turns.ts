import type { VirtualClock } from '@iopa/testing'
import type { Clock } from '@iopa/transport'

/** The clock of walks in slices, and after each turn what `done` counts. */
export const notedTurns = (clock: VirtualClock, done: () => number): { clock: Clock; turns: number[]; most: () => number } => {
  const turns: number[] = []
  return {
    clock: {
      now: () => clock.now(),
      elapsed: () => clock.elapsed(),
      clearTimeout: timer => clock.clearTimeout(timer),
      setTimeout: (work, delay) =>
        clock.setTimeout(() => {
          work()
          turns.push(done())
        }, delay)
    },
    turns,
    most: () => Math.max(...turns.map((count, index) => count - (turns[index - 1] ?? 0)))
  }
}
