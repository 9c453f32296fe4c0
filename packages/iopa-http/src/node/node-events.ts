import type { Context, Host, SealedAnswer } from '@iopa/transport'
import { EventStream, eventStreamFields, type Heartbeats } from '../events/event-stream.ts'
import { fieldsOf, isEventStream, isObservable } from '../message/answer-fields.ts'
import type { NodeAnswer } from './node-answer.ts'

/** Answers an observing GET with an event stream; `plain` takes the first answer where there is nothing to observe. */
export const observe = (
  host: Host,
  context: Context,
  answer: NodeAnswer,
  heartbeats: Heartbeats,
  retry: number,
  plain: (answer: SealedAnswer) => void
): void => {
  let events: EventStream | null = null
  let answered = false
  context.defer(() => {
    events?.close()
    if (events !== null) answer.end()
    // Without any answer the client would wait for one.
    else if (!answered) answer.destroy()
  })
  const deliver = (sealed: SealedAnswer): Promise<void> | void => {
    if (answer.over) return
    if (events === null) {
      answered = true
      if (!isObservable(sealed)) return plain(sealed)
      try {
        answer.begin(200, 'OK', eventStreamFields(fieldsOf(sealed)))
      } catch (error) {
        context['server.Logger'].error(`iopa: the answer to ${context} could not be written`, error)
        return answer.fail()
      }
      events = new EventStream(answer, heartbeats)
      return events.begin(sealed, retry, context['iopa.Headers'])
    }
    const delivered = events.deliver(sealed)
    if (events.over) void context.end()
    return delivered
  }
  void host.observe(context, deliver, { passes: isEventStream })
}
