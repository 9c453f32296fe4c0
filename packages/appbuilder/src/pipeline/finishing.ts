import { IopaError, type RandomAccessBody } from '@iopa/constants'
import { type AnswerRecord, headReady, RECORD, type RunContext, whenRead } from '@iopa/context/host'
import type { Clock } from '@iopa/transport'

/** Whether a transport sends a streamed payload whole: false, true except for what can be read in parts, or `all`. */
export type Whole = boolean | 'all'

/** What an answer waits for before it leaves. */
export interface StreamWait {
  readonly ready: Promise<void>
  /** Gives the stream up, when nothing will be sent of it. */
  readonly giveUp: () => void
}

// A stream that is silent at first must not keep its head back longer; one that fails at once gets another (milliseconds).
const FIRST_CHUNK = 100

const isRandomAccess = (payload: unknown): boolean => typeof (payload as Partial<RandomAccessBody>).read === 'function'

/** True where the method that was asked for, or the status, leaves the body out (RFC 9110 sections 9.3.2 and 6.4.1). */
const isBodyless = (context: RunContext, { status }: AnswerRecord): boolean =>
  context.requestedMethod === 'HEAD' || status === 204 || status === 205 || status === 304

/** What the streamed payload of an answer has to be waited for; null where its head may leave at once. */
export const awaitStream = (context: RunContext, whole: Whole, limit: number, clock: Clock): StreamWait | null => {
  const answer = context[RECORD]
  const collects = whole === 'all' || (whole && !isRandomAccess(answer.payload))
  if (collects && !isBodyless(context, answer)) return collected(context, limit)
  const first = headReady(answer)
  return first === null ? null : { ready: within(first, FIRST_CHUNK, clock), giveUp: () => undefined }
}

const collected = (context: RunContext, limit: number): StreamWait => {
  const answer = context[RECORD]
  // A stream that gives its source up at once, also where that is silent.
  whenRead(answer, () => undefined)
  const stream = answer.payload as AsyncIterableIterator<Uint8Array>
  let given = false
  const giveUp = (): void => {
    if (given) return
    given = true
    stream.return?.()?.catch(() => undefined)
  }
  const ready = answer.collect(limit, context).then(
    () => void (given = true),
    (error: unknown) => {
      giveUp()
      throw tooLarge(error) ? new IopaError(500, 'answer-too-large', `The answer has more than ${limit} bytes; ask for a part of it.`) : error
    }
  )
  return { ready, giveUp }
}

const tooLarge = (error: unknown): boolean => error instanceof IopaError && error.code === 'body-too-large'

/** Settles with `work`, and at the latest after `ms` milliseconds. */
const within = (work: Promise<void>, ms: number, clock: Clock): Promise<void> =>
  new Promise((resolve, reject) => {
    const timer = clock.setTimeout(resolve, ms)
    work.then(resolve, reject).finally(() => clock.clearTimeout(timer))
  })
