import { IopaError, type User } from '@iopa/constants'
import { AnswerRecord, type Reads, type RunContext, sealAnswer } from '@iopa/context/host'
import type { Clock, TimerHandle } from '@iopa/transport'
import { toIopaError } from '../pipeline/errors.ts'
import type { Cause, Chain } from './cause.ts'
import { excerpted, isExcerpted } from './excerpt.ts'
import type { Asker } from './inputs.ts'

/** One GET under way for those who asked. */
export interface SharedRun {
  readonly leader: Asker
  askers: readonly Asker[]
  /** The leader's user when the run began. */
  readonly user: User | undefined
  readonly context: RunContext
  readonly reads: Reads
  /** Why it was begun. */
  readonly cause: Cause
  /** This run and those that led to it. */
  readonly chain: Chain
  /** Grows from run to run. */
  readonly order: number
  /** How many changes there had been when it began. */
  readonly since: number
  /** Path of the resource that has answered. */
  resource: string
  /** The answer is 2xx. */
  ok: boolean
  over: boolean
}

/** Settles with `work`, or with `late()` when it has not settled in time. */
export const within = <T>(clock: Clock, time: number, work: Promise<T>, late: () => T): Promise<T> => {
  if (!Number.isFinite(time)) return work
  let timer: TimerHandle
  const limit = new Promise<T>(resolve => {
    timer = clock.setTimeout(() => resolve(late()), time)
  })
  return Promise.race([work, limit]).finally(() => clock.clearTimeout(timer))
}

/** Path of the resource that has answered: what its router says, else the path as the run has left it. */
export const resourceOf = (context: RunContext): string => context.response.resource || context['iopa.PathBase'] + context['iopa.Path']

/** The answer with its payload in memory: all of it, or an excerpt of what is too large; another one that says why where the stream fails. */
export const collected = async (context: RunContext, limit: number, excerpt: number): Promise<AnswerRecord> => {
  const answer = context.response
  try {
    if (answer.ok && isExcerpted(answer.payload, limit)) return await excerpted(context, answer.payload, excerpt)
    await answer.collect(limit)
    return answer
  } catch (error) {
    // The code that ended it has logged why.
    if (!context.ended) context['server.Logger'].error(`iopa: the body of ${context} could not be read`, error)
    const visible = toIopaError(error)
    return failed(context, new IopaError(visible.status, visible.code, visible.detail))
  }
}

/** An answer to a context that says what went wrong. */
export const failed = (context: RunContext, error: IopaError): AnswerRecord => {
  const answer = new AnswerRecord(context)
  answer.fail(error)
  void sealAnswer(answer, context.environment.codecs)
  return answer
}
