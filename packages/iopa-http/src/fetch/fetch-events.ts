import { type Context, type Counters, type Host, IopaError, type SealedAnswer } from '@iopa/transport'
import { EventStream, eventStreamFields, type Heartbeats } from '../events/event-stream.ts'
import { fieldsOf, isEventStream, isObservable } from '../message/answer-fields.ts'
import { headersOf, responseTo } from './fetch-response.ts'

/** Answers an observing GET with an event stream, or as any other when there is nothing to observe. */
export const observe = (
  host: Host,
  counters: Counters,
  context: Context,
  request: AbortSignal,
  heartbeats: Heartbeats,
  retry: number,
  resolve: (response: Response) => void
): void => {
  const utf8 = new TextEncoder()
  let controller: ReadableStreamDefaultController<Uint8Array> | null = null
  let events: EventStream | null = null
  let wake: (() => void) | null = null
  const pulled = (): void => {
    wake?.()
    wake = null
  }
  const sink = {
    write: (text: string): boolean => {
      controller?.enqueue(utf8.encode(text))
      return controller === null || (controller.desiredSize ?? 0) > 0
    },
    drained: (): Promise<void> => new Promise(done => (wake = done))
  }
  const begin = (answer: SealedAnswer): Promise<void> | void => {
    let headers: Headers
    try {
      headers = headersOf(eventStreamFields(fieldsOf(answer)))
    } catch {
      // It cannot be written as a plain answer either: that is a logged 500.
      resolve(responseTo(context, answer, host))
      return
    }
    const body = new ReadableStream<Uint8Array>({
      start: started => {
        controller = started
      },
      pull: pulled,
      cancel: () => {
        controller = null
        void context.end('disconnect')
      }
    })
    resolve(new Response(body, { headers }))
    events = new EventStream(sink, heartbeats)
    return events.begin(answer, retry, context['iopa.Headers'])
  }
  context.defer(reason => {
    events?.close()
    pulled()
    // A waiting reader must end when the request is aborted.
    if (reason === 'disconnect') controller?.error(request.reason ?? new IopaError(502, 'disconnected', 'The event stream has ended.'))
    else controller?.close()
    controller = null
  })
  counters.observed(context)
  const deliver = (answer: SealedAnswer): Promise<void> | void => {
    if (context.ended) {
      // If no event stream was started, the caller still waits for the response.
      if (events === null && !answer.isStream) resolve(responseTo(context, answer, host))
      return
    }
    if (events === null) {
      if (isObservable(answer)) return begin(answer)
      resolve(responseTo(context, answer, host))
      return
    }
    const delivered = events.deliver(answer)
    if (events.over) void context.end()
    return delivered
  }
  void host.observe(context, deliver, { passes: isEventStream })
}
