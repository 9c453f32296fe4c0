import type { Clock } from '@iopa/appbuilder/extension'

/** Milliseconds that a document may take before other work has its turn. */
const SLICE = 8

/** Runs a generator to its end at once. */
export const atOnce = <T>(steps: Generator<void, T>): T => {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

/** Runs a generator to its end, in slices between which the process does other work. */
export const inSlices = async <T>(steps: Generator<void, T>, clock: Clock): Promise<T> => {
  for (;;) {
    const start = clock.elapsed()
    do {
      const step = steps.next()
      if (step.done === true) return step.value
    } while (clock.elapsed() - start < SLICE)
    await new Promise<void>(resume => void clock.setTimeout(resume, 0, { keep: true }))
  }
}

/** The text of a document in JSON, a member of a large object at a time. */
export const jsonSteps = function* (value: unknown, depth = 0): Generator<void, string> {
  if (depth > 2 || typeof value !== 'object' || value === null || Array.isArray(value)) return JSON.stringify(value)
  const members: string[] = []
  for (const [name, member] of Object.entries(value)) {
    if (member === undefined) continue
    members.push(`${JSON.stringify(name)}:${yield* jsonSteps(member, depth + 1)}`)
    yield
  }
  return `{${members.join(',')}}`
}
