import type { Bag } from '@iopa/constants'
import type { ReceivedAnswer, SealedAnswer } from '@iopa/context'
import type { RunContext } from '@iopa/context/host'
import type { Observation } from '@iopa/transport'
import { observedAnswers } from '../observation/observed-answers.ts'

/** Options of `app.observe`. */
export interface ObserveOptions {
  /** Ends the observation. */
  readonly signal?: AbortSignal
  readonly headers?: Bag['iopa.Headers']
}

export const OBSERVE_OPTIONS: Record<keyof ObserveOptions, true> = { signal: true, headers: true }

/** The answers to an observation that the app itself makes; each iteration is an observer of its own. */
export const ownObservation = (
  create: (bag: Bag) => RunContext,
  observe: (context: RunContext, deliver: (answer: SealedAnswer) => void) => Promise<Observation>,
  path: string,
  { signal, headers }: ObserveOptions
): AsyncIterable<ReceivedAnswer> => {
  const query = path.indexOf('?')
  const bag: Bag = {
    'iopa.Method': 'GET',
    'iopa.Path': query < 0 ? path : path.slice(0, query),
    'iopa.QueryString': query < 0 ? '' : path.slice(query + 1),
    'iopa.Headers': headers,
    'iopa.Observe': true
  }
  return observedAnswers(signal, () => create(bag), observe)
}
