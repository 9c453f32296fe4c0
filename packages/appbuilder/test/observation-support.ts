import type { App, Bag, Context, Logger } from '@iopa/appbuilder'
import type { SealedAnswer } from '@iopa/context'
import type { Host } from '@iopa/transport'

/** One observer in a test, and what it was told. */
export interface Watching {
  readonly context: Context
  readonly answers: SealedAnswer[]
  readonly payloads: unknown[]
  readonly active: Promise<boolean>
}

/** Observes with a bag, as a transport does. */
export const watch = (app: App, host: Host, bag: Bag): Watching => {
  const context = app.create({ 'iopa.Observe': true, ...bag })
  const answers: SealedAnswer[] = []
  const observation = host.observe(context, answer => void answers.push(answer))
  return {
    context,
    answers,
    get payloads() {
      return answers.map(({ payload }) => payload)
    },
    active: observation.then(({ active }) => active)
  }
}

/** Lets so many turns of the event loop pass. */
export const turns = async (count = 4): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise(resolve => setImmediate(resolve))
}

/** A logger that keeps its lines. */
export const recorder = (): { readonly lines: string[]; readonly logger: Logger } => {
  const lines: string[] = []
  const add = (...data: unknown[]): void => void lines.push(data.map(String).join(' '))
  return { lines, logger: { error: add, warn: add, info: add, debug: add } }
}
