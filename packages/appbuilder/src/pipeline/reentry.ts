import { OPEN, RECORD, type RunContext } from '@iopa/context/host'
import { sharedError } from '@iopa/transport/host'
import { applyReturned, asPromise, type ComposedPipeline, isThenable } from './compose.ts'
import { type ErrorBoundary, notSent } from './error-boundary.ts'
import { type Done, Run } from './run.ts'

const TOO_DEEP = sharedError(
  500,
  'invoked-too-deep',
  'A request was invoked within itself too often: an internal redirect leads back to where it began.'
)

/** Runs a context that is in a run already, or has been: the run around it seals the answer. */
export const reenter = (context: RunContext, done: Done, host: { pipeline(): ComposedPipeline }, boundary: ErrorBoundary): void => {
  let over = false
  const run = context[RECORD].state !== OPEN ? null : (Run.of(context) as Run)
  const end = (): void => {
    if (over) return
    over = true
    run?.leave(end)
    try {
      done(context)
    } catch (error) {
      notSent(context, error)
    }
  }
  if (run === null) {
    end()
    return
  }
  const failed = (error: unknown): void => {
    if (!over && context[RECORD].state === OPEN) boundary.fail(context, error)
    end()
  }
  const settled = (value: unknown): void => {
    try {
      if (!over) applyReturned(context[RECORD], value)
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
    const composed = host.pipeline()
    const value = composed.unwrap(composed(context))
    if (isThenable(value)) asPromise(value).then(settled, failed)
    else settled(value)
  } catch (error) {
    failed(error)
  }
}
