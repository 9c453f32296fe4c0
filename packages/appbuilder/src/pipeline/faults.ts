import { AnswerRecord, applyValue, RECORD } from '@iopa/context/host'
import { sharedError } from '@iopa/transport/host'
import { applyReturned, type ComposedPipeline } from './compose.ts'
import { toIopaError } from './errors.ts'
import type { Run } from './run.ts'
import type { LostPromise } from './watched-promise.ts'

const MISSING_AWAIT = sharedError(500, 'missing-await', 'A middleware finished before the handler that it called: return or await next().')
const LOST = sharedError(500, 'lost-rejection', 'A middleware did not wait for what it had called: return or await next(), and call it once.')

/** What is wrong with a run whose pipeline has settled, and which middleware did it. */
export interface Fault {
  readonly error: unknown
  readonly trouble: { readonly by: string; readonly at?: LostPromise['at']; readonly error?: unknown } | undefined
}

/** The fault of a run whose middleware let go of a promise, or swallowed an error and set nothing in its place; null where there is none. */
export const faultOf = (run: Run, value: unknown, pipeline: ComposedPipeline | null): Fault | null => {
  const lost = run.lost()
  if (lost !== null) {
    run.blamed = true
    const { error } = lost
    const visible = !lost.rejected ? MISSING_AWAIT : toIopaError(error).code === 'next-called-twice' ? error : LOST
    return { error: visible, trouble: lost.rejected ? lost : { by: lost.by, at: lost.at } }
  }
  if (run.pending > 0) {
    run.blamed = true
    return { error: MISSING_AWAIT, trouble: run.careless ?? { by: pipeline?.names.slice(0, -1).join("' or '") ?? '' } }
  }
  const swallowed = run.unanswered(value)
  return swallowed === null ? null : { error: swallowed.error, trouble: undefined }
}

/** True when the value of a handler that finished after its answer had left stands for success. */
export const hasSucceededLate = (run: Run, value: unknown): boolean => {
  try {
    applyReturned(run.context[RECORD], value)
    const verdict = new AnswerRecord()
    applyValue(verdict, run.late)
    return !run.failed && (verdict.code === 0 || verdict.ok)
  } catch {
    // It returned an error, or what no answer can be made of.
    return false
  }
}
