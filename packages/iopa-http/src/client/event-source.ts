import {
  badAnswer,
  type Clock,
  HeaderMap,
  IopaError,
  isIopaError,
  type LinkAnswer,
  MEDIA_TYPES,
  type OutgoingRequest,
  observationRefused,
  receivedAnswer
} from '@iopa/transport'
import { EXACT_DATA_FIELD } from '../events/event-format.ts'
import { EventParser, type ServerEvent } from '../events/event-parser.ts'
import { type ClientSettings, type Exchange, exchange } from './client-request.ts'
import type { ConnectionPool } from './connection-pool.ts'
import { answerOfExchange } from './received-answer.ts'

// Milliseconds before the first reconnect where the server names none, and before any.
const FIRST_PAUSE = 1_000
const LONGEST_PAUSE = 60_000
// A server that names less would be asked again and again.
const LEAST_PAUSE = 100
// One that ends each connection at once, though it says something, is asked less and less often, up to this.
const BRIEF_PAUSE = 5_000
// A connection that lasts so long has not ended at once.
const BRIEF = 1_000

/**
 * Reads a path as server-sent events, and reconnects with growing pauses until the signal aborts or the pool is closed.
 * Throws when the server refuses, or cannot be reached at first.
 */
export async function* observe(request: OutgoingRequest, pool: ConnectionPool, settings: ClientSettings): AsyncGenerator<LinkAnswer> {
  const { signal } = request
  const over = (): boolean => signal?.aborted === true || pool.closed
  let lastEventId = request.headers.get('last-event-id') ?? ''
  const { clock } = settings
  let retry = FIRST_PAUSE
  let told = false
  let failures = 0
  let briefs = 0
  while (!over()) {
    const begun = clock.elapsed()
    let heard = false
    const parser = new EventParser(settings.limits.body)
    parser.id = lastEventId
    try {
      const stream = await open(request, lastEventId, pool, settings)
      if (stream === null) return
      for await (const bytes of stream.body()) {
        for (const event of eventsIn(parser, bytes)) {
          told = heard = true
          if (event.name === 'error') throw observationRefused(problemAnswer(event.data))
          yield answerOf(event)
        }
      }
    } catch (error) {
      if (over()) return
      if (!told || !mayPass(error)) throw error
    }
    lastEventId = parser.id
    retry = Math.max(LEAST_PAUSE, parser.retry ?? retry)
    briefs = heard && clock.elapsed() - begun < BRIEF ? briefs + 1 : 0
    const least = Math.max(retry, Math.min(BRIEF_PAUSE, LEAST_PAUSE * 2 ** briefs))
    const time = Math.min(LONGEST_PAUSE, heard ? least : retry * 2 ** ++failures)
    if (heard) failures = 0
    if (!over()) await pause(time * (0.5 + Math.random() / 2), clock, signal, pool.closing)
  }
}

/** The problem of an event `error` as the answer that it stands for. */
const problemAnswer = (data: string): LinkAnswer => {
  let status = 500
  try {
    const stated: unknown = JSON.parse(data).status
    if (typeof stated === 'number' && Number.isInteger(stated) && stated >= 300 && stated <= 599) status = stated
  } catch {
    // It does not say more.
  }
  return receivedAnswer(status, { type: MEDIA_TYPES.ProblemJson, payload: data })
}

/** The event stream of a path; null when the server wants no reconnect (HTML section 9.2.3). */
const open = async (request: OutgoingRequest, lastEventId: string, pool: ConnectionPool, settings: ClientSettings): Promise<Exchange | null> => {
  const headers = new HeaderMap([...request.headers.pairs()])
  // The events are asked for first; what they hold is the representation that the other types ask for.
  const accept = request.headers.getAll('accept').filter(value => !value.includes('text/event-stream'))
  headers.set('accept', ['text/event-stream', ...accept].join(', '))
  headers.set(EXACT_DATA_FIELD, 'base64')
  headers.delete('last-event-id')
  if (lastEventId !== '') headers.append('last-event-id', encodeId(lastEventId))
  // A stream is silent as long as nothing changes, but a server that lives sends comments.
  const patient = { ...settings, bodyTimeout: settings.limits.idleTimeout }
  const stream = await exchange({ ...request, method: 'GET', headers, body: null, type: '' }, pool, patient)
  const { statusCode, headers: fields } = stream.response
  if (statusCode === 200 && /^text\/event-stream\s*(?:;|$)/i.test(fields['content-type'] ?? '')) return stream
  const answer = await answerOfExchange('GET', stream, settings.limits.body)
  if (answer.status === 204) return null
  if (answer.ok) {
    await answer.bytes().catch(() => undefined)
    throw new IopaError(501, 'not-observable', 'The server answers this path, but not as an event stream.')
  }
  await answer.collect(settings.limits.body)
  throw observationRefused(answer)
}

/** Field values are bytes: an id beyond ASCII goes as UTF-8, as browsers send it. */
const encodeId = (id: string): string => Buffer.from(id).toString('latin1')

const eventsIn = (parser: EventParser, bytes: Uint8Array): ServerEvent[] => {
  try {
    return parser.push(bytes)
  } catch (cause) {
    throw badAnswer('The server sent an event that is too long.', cause)
  }
}

const BASE64 = ';base64'

const answerOf = ({ data, id, type }: ServerEvent): LinkAnswer => {
  const headers = new HeaderMap(/^(?:W\/)?"[^"]*"$/.test(id) ? ['etag', id] : [])
  if (!type.endsWith(BASE64)) return receivedAnswer(200, { headers, type, payload: data })
  return receivedAnswer(200, { headers, type: type.slice(0, -BASE64.length), payload: Buffer.from(data, 'base64') })
}

/** True when the next attempt may succeed where this one did not. */
const mayPass = (error: unknown): boolean =>
  isIopaError(error) &&
  error.code !== 'redirected' &&
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
