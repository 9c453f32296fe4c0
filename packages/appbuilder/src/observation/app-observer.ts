import { IopaError } from '@iopa/constants'
import type { Answer, Context } from '@iopa/context'
import { marked } from '../client/upstream.ts'
import type { Observation } from '../transport/transport.ts'

/** The answers to an observation as a sequence: the newest waits for the reader, those in between are skipped. */
export async function* observedAnswers(
  open: () => Context,
  observe: (context: Context, deliver: (answer: Answer) => Promise<void> | void) => Promise<Observation>
): AsyncGenerator<Answer> {
  // Here, for a generator that nobody begins never ends either.
  const context = open()
  let newest: Answer | null = null
  let last = false
  let wake: (() => void) | null = null
  const deliver = (answer: Answer): void => {
    newest = answer
    last = !answer.ok
    wake?.()
  }
  context.defer(() => {
    last = true
    wake?.()
  })
  try {
    await observe(context, deliver)
    for (;;) {
      const answer = newest as Answer | null
      newest = null
      if (answer !== null) {
        if (!answer.ok) throw marked(answer.error ?? new IopaError(answer.status, 'refused', answer.reason), 'internal')
        yield answer
      } else if (last) return
      else
        await new Promise<void>(resolve => {
          wake = resolve
        })
    }
  } finally {
    await context.end('unsubscribe')
  }
}
