import type { Context } from '@iopa/context'
import { sharedError } from '@iopa/transport/host'
import { applyReturned, asPromise, type ComposedPipeline, isThenable } from './compose.ts'
import { callDone, type ErrorBoundary } from './error-boundary.ts'
import { type Done, Run } from './run.ts'

const TOO_DEEP = sharedError(
  500,
  'invoked-too-deep',
  'A request was invoked within itself too often: an internal redirect leads back to where it began.'
)

/** Runs a context that is in a run already, or has been: the run around it seals the answer. */
export const reenter = (context: Context, done: Done, pipeline: () => ComposedPipeline, boundary: ErrorBoundary): void => {
  let over = false
  const run = context.response.sealed ? null : (Run.of(context) as Run)
  const end = (): void => {
    if (over) return
    over = true
    run?.leave(end)
    callDone(context, done)
  }
  if (run === null) {
    end()
    return
  }
  const failed = (error: unknown): void => {
    if (!over && !context.response.sealed) boundary.fail(context, error)
    end()
  }
  const settled = (value: unknown): void => {
    try {
      if (!over) applyReturned(context.response, value)
      end()
    } catch (error) {
      failed(error)
    }
  }
  if (!run.enter(end)) {
    failed(TOO_DEEP)
    return
  }
  try {
    const composed = pipeline()
    const value = composed.unwrap(composed(context))
    if (isThenable(value)) asPromise(value).then(settled, failed)
    else settled(value)
  } catch (error) {
    failed(error)
  }
}
