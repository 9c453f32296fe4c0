import {
  badAnswer,
  type Clock,
  HeaderMap,
  IopaError,
  isIopaError,
  type Limits,
  type LinkAnswer,
  linkLost,
  MEDIA_TYPES,
  nextChunk,
  type OutgoingRequest,
  receivedAnswer,
  type Sink
} from '@iopa/transport'
import { EXACT_DATA_FIELD } from '../events/event-format.ts'
import { EventParser, type ServerEvent } from '../events/event-parser.ts'
import { answerOfExchange, type Exchange } from './exchange.ts'

/** What a subscription needs of its link. */
export interface EventSourceInit {
  readonly sink: Sink
  /** What the loss of the stream before has said, where there was one. */
  readonly resume: unknown
  readonly clock: Clock
  readonly limits: Limits
  exchange(request: OutgoingRequest): Promise<Exchange>
}

/** What the next stream begins with: the id of the last event, and the pause that the server has asked for. */
interface Resume {
  readonly id: string
  readonly retry: number | undefined
}

/** Reads a path as server-sent events. Resolves when the server wants no reconnect (HTML section 9.2.3), and rejects with `linkLost` when the stream ends. */
export const subscribe = async (message: OutgoingRequest, init: EventSourceInit): Promise<void> => {
  const { sink, resume, clock, limits } = init
  const parser = new EventParser(limits.body)
  const before = (resume ?? { id: message.headers.get('last-event-id') ?? '', retry: undefined }) as Resume
  parser.id = before.id
  const lost = (cause?: unknown): Error => {
    const retry = parser.retry ?? before.retry
    return linkLost({ sent: true, retryAfter: retry, resume: { id: parser.id, retry } satisfies Resume }, cause)
  }
  let stream: Exchange
  try {
    stream = await init.exchange(requestOf(message, parser.id))
  } catch (error) {
    throw isIopaError(error) && error.code !== 'disconnected' ? error : lost(error)
  }
  if (!isEventStream(stream)) return refused(stream, sink, limits.body)
  sink.accepted()
  const chunks = stream.body()
  try {
    for (;;) {
      // A stream is silent as long as nothing changes, but a server that lives sends comments.
      const { done, value } = await nextChunk(chunks, limits.idleTimeout, clock)
      if (done === true) break
      for (const event of eventsIn(parser, value)) await sink.next(event.name === 'error' ? problemAnswer(event.data) : answerOf(event))
    }
  } catch (error) {
    throw isIopaError(error) && error.code === 'bad-answer' ? error : lost(error)
  } finally {
    void chunks.return(undefined).catch(() => undefined)
  }
  throw lost()
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

const requestOf = (message: OutgoingRequest, lastEventId: string): OutgoingRequest => {
  const headers = new HeaderMap([...message.headers.pairs()])
  // The events are asked for first; what they hold is the representation that the other types ask for.
  const accept = message.headers.getAll('accept').filter(value => !value.includes('text/event-stream'))
  headers.set('accept', ['text/event-stream', ...accept].join(', '))
  headers.set(EXACT_DATA_FIELD, 'base64')
  headers.delete('last-event-id')
  if (lastEventId !== '') headers.append('last-event-id', encodeId(lastEventId))
  return { ...message, method: 'GET', headers, body: null, type: '' }
}

const isEventStream = ({ response: { statusCode, headers } }: Exchange): boolean =>
  statusCode === 200 && /^text\/event-stream\s*(?:;|$)/i.test(headers['content-type'] ?? '')

/** Takes an answer that is no event stream: 204 says that the server wants no reconnect. */
const refused = async (stream: Exchange, sink: Sink, limit: number): Promise<void> => {
  const answer = await answerOfExchange('GET', stream)
  if (answer.status === 204) return
  await answer.collect(limit)
  if (answer.ok) throw new IopaError(501, 'not-observable', 'The server answers this path, but not as an event stream.')
  await sink.next(answer)
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
