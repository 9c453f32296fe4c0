import { type Bag, originOf } from '@iopa/constants'
import type { Context, LinkAnswer } from '@iopa/context'
import { abandonValue, abortable, handOver, isContext, RECORD, type RunContext, whenRead } from '@iopa/context/host'
import { markedCopy } from '@iopa/transport/host'
import type { Done } from '../pipeline/run.ts'

/** Runs a context; the answer is sealed when `done` is called. */
type Run = (context: RunContext, done: Done) => void

/** Runs a bag, or a context, for code of this process, and resolves with its answer; a context that `create` made for a bag ends with its answer. */
export const invoked = async (request: Bag | Context, create: (bag: Bag) => RunContext, run: Run): Promise<LinkAnswer> => {
  if (isContext(request)) {
    const context = request as RunContext
    await ran(context, run)
    return handOver(context[RECORD])
  }
  const context = create(request)
  const answer = context[RECORD]
  const signal = request['iopa.CallCancelled']
  await (signal === undefined
    ? ran(context, run)
    : abortable(
        signal,
        () => ran(context, run),
        () => abandonValue(answer)
      ))
  const { error } = answer
  // The code that invoked this request is no peer.
  if (error !== null && originOf(error) === undefined) answer.failure = markedCopy(error, 'internal')
  // A streamed body may still read from what the scope owns.
  if (answer.isStream) whenRead(answer, () => void context.end(), signal)
  else await context.end()
  return handOver(answer)
}

const ran = (context: RunContext, run: Run): Promise<void> => new Promise(resolve => run(context, () => resolve()))
