import { Answer, type Clock, HeaderMap, IopaError, isIopaError, type OutgoingRequest } from '@iopa/appbuilder'
import { EventParser, type ServerEvent } from '../events/event-parser.ts'
import { type ClientSettings, type Exchange, exchange } from './client-request.ts'
import type { ConnectionPool } from './connection-pool.ts'
import { receivedAnswer, refusalOf } from './received-answer.ts'

// Milliseconds before the first reconnect where the server names none, and before any.
const FIRST_PAUSE = 1_000
const LONGEST_PAUSE = 60_000

/**
 * Reads a path as server-sent events, and reconnects with growing pauses until the signal aborts or the pool is closed.
 * Throws when the server refuses, or cannot be reached at first.
 */
export async function* observe(request: OutgoingRequest, pool: ConnectionPool, settings: ClientSettings): AsyncGenerator<Answer> {
  const { signal } = request
  const over = (): boolean => signal?.aborted === true || pool.closed
  let lastEventId = request.headers.get('last-event-id') ?? ''
  let retry = FIRST_PAUSE
  let told = false
  for (let attempt = 0; !over(); attempt++) {
    const parser = new EventParser(settings.limits.body)
    parser.id = lastEventId
    try {
      const stream = await open(request, lastEventId, pool, settings)
      if (stream === null) return
      for await (const bytes of stream.body()) {
        for (const event of eventsIn(parser, bytes)) {
          told = true
          attempt = 0
          if (event.name === 'error') throw refusalOf(500, event.data)
          yield answerOf(event)
        }
      }
    } catch (error) {
      if (over()) return
      if (!told || !mayPass(error)) throw error
    }
    lastEventId = parser.id
    retry = parser.retry ?? retry
    if (!over()) await pause(Math.min(LONGEST_PAUSE, retry * 2 ** attempt) * (0.5 + Math.random() / 2), settings.clock, signal, pool.closing)
  }
}

/** The event stream of a path; null when the server wants no reconnect (HTML section 9.2.3). */
const open = async (request: OutgoingRequest, lastEventId: string, pool: ConnectionPool, settings: ClientSettings): Promise<Exchange | null> => {
  const headers = new HeaderMap([...request.headers.pairs()])
  // The events are asked for first; what they hold is the representation that the other types ask for.
  const accept = request.headers.getAll('accept').filter(value => !value.includes('text/event-stream'))
  headers.set('accept', ['text/event-stream', ...accept].join(', '))
  headers.delete('last-event-id')
  if (lastEventId !== '') headers.append('last-event-id', encodeId(lastEventId))
  // A stream is silent as long as nothing changes, but a server that lives sends comments.
  const patient = { ...settings, bodyTimeout: settings.limits.idleTimeout }
  const stream = await exchange({ ...request, method: 'GET', headers, body: null, type: '' }, pool, patient)
  const { statusCode, headers: fields } = stream.response
  if (statusCode === 200 && /^text\/event-stream\s*(?:;|$)/i.test(fields['content-type'] ?? '')) return stream
  const answer = await receivedAnswer('GET', stream, settings.limits.body)
  if (answer.status === 204) return null
  if (answer.ok) {
    await answer.bytes().catch(() => undefined)
    throw new IopaError(501, 'not-observable', 'The server answers this path, but not as an event stream.')
  }
  throw refusalOf(answer.status, await answer.text())
}

/** Field values are bytes: an id beyond ASCII goes as UTF-8, as browsers send it. */
const encodeId = (id: string): string => Buffer.from(id).toString('latin1')

const eventsIn = (parser: EventParser, bytes: Uint8Array): ServerEvent[] => {
  try {
    return parser.push(bytes)
  } catch (cause) {
    throw new IopaError(502, 'bad-answer', 'The server sent an event that is too long.', { cause })
  }
}

const BASE64 = ';base64'

const answerOf = ({ data, id, type }: ServerEvent): Answer => {
  const headers = new HeaderMap(/^(?:W\/)?"[^"]*"$/.test(id) ? ['etag', id] : [])
  if (!type.endsWith(BASE64)) return Answer.received(200, { headers, type, payload: data })
  return Answer.received(200, { headers, type: type.slice(0, -BASE64.length), payload: Buffer.from(data, 'base64') })
}

/** True when the next attempt may succeed where this one did not. */
const mayPass = (error: unknown): boolean =>
  isIopaError(error) &&
  (error.code === 'disconnected' || error.code === 'connect-failed' || error.code === 'timeout' || [502, 503, 504].includes(error.status))

/** Resolves after the time, or when one of the signals aborts. */
const pause = (time: number, clock: Clock, ...signals: readonly (AbortSignal | undefined)[]): Promise<void> =>
  new Promise(resolve => {
    const wake = (): void => {
      clock.clearTimeout(timer)
      for (const signal of signals) signal?.removeEventListener('abort', wake)
      resolve()
    }
    const timer = clock.setTimeout(wake, time, { keep: true })
    for (const signal of signals) signal?.addEventListener('abort', wake)
  })
