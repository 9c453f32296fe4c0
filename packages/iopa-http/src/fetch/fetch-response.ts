import { type Answer, type Context, type Host, IopaError, nextChunk, silenceLimit } from '@iopa/transport'
import { lackingEventFields } from '../events/event-stream.ts'
import { fieldsOf, isBodyless, sizeOf, statedLength } from '../message/answer-fields.ts'
import { answerTo } from '../message/refusal.ts'

/** The response to a request for which there is a context; it ends at once, or when a streamed body has been read. */
export const responseTo = (context: Context, answer: Answer, host: Host): Response => {
  try {
    return written(context, answer, host)
  } catch (error) {
    context['server.Logger'].error(`iopa: the answer to ${context} could not be written`, error)
    void context.end('reset')
    return refusal(new IopaError(500, 'internal-error'))
  }
}

/** The response to a request that is refused before there is a context. */
export const refusal = (error: IopaError): Response => {
  const answer = answerTo(error)
  return new Response(bodyOf(answer), { status: answer.status, headers: headersOf(fieldsOf(answer)) })
}

/** Header fields from a flat list. Throws for what they cannot carry. */
export const headersOf = (fields: readonly string[]): Headers => {
  const headers = new Headers()
  for (let at = 0; at < fields.length; at += 2) headers.append(fields[at] as string, fields[at + 1] as string)
  return headers
}

const written = (context: Context, answer: Answer, host: Host): Response => {
  const headers = headersOf(fieldsOf(answer))
  const length = answer.isStream ? (sizeOf(answer.payload as AsyncIterable<Uint8Array>) ?? statedLength(answer)) : null
  if (length !== null) headers.set('content-length', String(length))
  const lacking = answer.isStream ? lackingEventFields(answer) : []
  for (let at = 0; at < lacking.length; at += 2) headers.set(lacking[at] as string, lacking[at + 1] as string)
  const init = { status: answer.status, headers }
  const empty = context.requestedMethod === 'HEAD' || answer.payload === null || isBodyless(answer.status) || answer.status === 205
  if (answer.isStream && !empty) return new Response(streamOf(context, answer.payload as AsyncIterable<Uint8Array>, host), init)
  if (answer.isStream) void iteratorOf(answer).return?.()
  const response = new Response(empty ? null : bodyOf(answer), init)
  void context.end()
  return response
}

/** What a Response takes; of memory that threads share, or that can grow, it takes only a copy. */
const bodyOf = ({ payload }: Answer): string | Uint8Array<ArrayBuffer> =>
  payload instanceof Uint8Array && !isFixed(payload.buffer) ? payload.slice() : (payload as string | Uint8Array<ArrayBuffer>)

const isFixed = (buffer: ArrayBufferLike): boolean => buffer instanceof ArrayBuffer && (buffer as { resizable?: boolean }).resizable !== true

const iteratorOf = ({ payload }: Answer): AsyncIterator<Uint8Array> => (payload as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()

/** A streamed body that is read only as fast as the client takes it. */
const streamOf = (context: Context, payload: AsyncIterable<Uint8Array>, { limits, clock }: Host): ReadableStream<Uint8Array> => {
  const iterator = payload[Symbol.asyncIterator]()
  const limit = silenceLimit(context.response.type, limits.idleTimeout)
  context.defer(() => iterator.return?.())
  return new ReadableStream(
    {
      pull: async controller => {
        try {
          const { done, value } = await nextChunk(iterator, limit, clock)
          if (done !== true) {
            controller.enqueue(value)
            return
          }
          // A body that was given up with its request must not look like a whole one.
          if (context.ended) throw new Error('The request ended before its body.')
          controller.close()
          await context.end()
        } catch (error) {
          context['server.Logger'].error(`iopa: the body of ${context} could not be read`, error)
          await context.end('reset')
          controller.error(new Error('The body ended too early.'))
        }
      },
      cancel: async () => {
        await context.end('disconnect')
      }
    },
    { highWaterMark: 0 }
  )
}
