import { type Clock, type HeaderFields, MEDIA_TYPES, type SealedAnswer, type TimerHandle } from '@iopa/transport'
import { CONTENT_TYPE_FIELD, type EventText, EXACT_DATA_FIELD, errorEvent, eventOf, HEARTBEAT } from './event-format.ts'

/** Where the text of an event stream goes. */
export interface EventSink {
  /** False when the writer should wait for `drained`. */
  write(text: string): boolean
  /** Resolves when the peer reads again, or has gone. */
  drained(): Promise<void>
}

/** Proxies must neither keep nor gather what an event stream brings, nor compress it, for which they would gather it. */
const UNBUFFERED: readonly string[] = ['cache-control', 'no-store, no-transform', 'x-accel-buffering', 'no']

/** Head of every event stream. */
const EVENT_STREAM_FIELDS: readonly string[] = ['content-type', 'text/event-stream', ...UNBUFFERED]

/** The fields for proxies that an event stream of a handler's own lacks. */
export const lackingEventFields = ({ type, headerPairs }: SealedAnswer): readonly string[] => {
  if (!type.startsWith(MEDIA_TYPES.EventStream)) return []
  const names = headerPairs.filter((_, at) => at % 2 === 0).map(name => name.toLowerCase())
  return UNBUFFERED.filter((_, at) => !names.includes(UNBUFFERED[at - (at % 2)] as string))
}

// They describe the body of the first answer, which is now an event in the stream.
const OF_THE_BODY: ReadonlySet<string> = new Set([
  'accept-ranges',
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'etag',
  'expires',
  'last-modified',
  'x-accel-buffering'
])

/** The fields of the first answer that its stream keeps, such as those of CORS and cookies, before its own. */
export const eventStreamFields = (fields: readonly string[]): string[] => {
  const kept: string[] = []
  for (let at = 0; at < fields.length; at += 2) {
    if (!OF_THE_BODY.has((fields[at] as string).toLowerCase())) kept.push(fields[at] as string, fields[at + 1] as string)
  }
  return [...kept, ...EVENT_STREAM_FIELDS]
}

/** The answers to one observer as server-sent events. */
export class EventStream {
  readonly #sink: EventSink
  readonly #heartbeats: Heartbeats
  /** True after an answer that was not 2xx: nothing follows. */
  over = false
  #exact = false
  #blocked = false
  #type = ''
  /** Nothing was written since a comment was last due. */
  #silent = false

  constructor(sink: EventSink, heartbeats: Heartbeats) {
    this.#sink = sink
    this.#heartbeats = heartbeats
  }

  /** Begins with the first answer, which is left out when the observer has seen it before. */
  begin(answer: SealedAnswer, retry: number, request: HeaderFields): Promise<void> | void {
    this.#heartbeats.add(this)
    this.#exact = request.get(EXACT_DATA_FIELD) === 'base64'
    const event = eventOf(answer, this.#exact)
    const lastEventId = request.get('last-event-id') ?? ''
    const seen = lastEventId !== '' && lastEventId === event?.id
    return this.#write(`retry: ${retry}\n${seen || event === null ? '\n' : this.#lines(event)}`)
  }

  /** Writes an answer; one that is not 2xx is the last. Wait for what it returns before the next. */
  deliver(answer: SealedAnswer): Promise<void> | void {
    const event = eventOf(answer, this.#exact)
    this.over = event === null
    return this.#write(event === null ? errorEvent(answer) : this.#lines(event))
  }

  /** Called twice within each interval: writes a comment when nothing else was written since the call before. */
  heartbeat(): void {
    if (!this.#silent) this.#silent = true
    else if (!this.#blocked) void this.#write(HEARTBEAT)
  }

  /** Stops the heartbeats. */
  close(): void {
    this.#heartbeats.delete(this)
  }

  #lines({ type, text }: EventText): string {
    if (type === this.#type) return text
    this.#type = type
    return `${CONTENT_TYPE_FIELD}: ${type}\n${text}`
  }

  #write(text: string): Promise<void> | void {
    this.#silent = false
    if (this.#sink.write(text)) return
    this.#blocked = true
    return this.#sink.drained().then(() => {
      this.#blocked = false
    })
  }
}

/** One timer for the heartbeats of all streams of a listener. */
export class Heartbeats {
  readonly #clock: Clock
  readonly #interval: number
  readonly #streams = new Set<EventStream>()
  #timer: TimerHandle | null = null

  /** A stream gets a comment before it has been silent for `interval` milliseconds. */
  constructor(clock: Clock, interval: number) {
    this.#clock = clock
    this.#interval = interval
  }

  add(stream: EventStream): void {
    this.#streams.add(stream)
    if (this.#timer === null) this.#arm()
  }

  delete(stream: EventStream): void {
    this.#streams.delete(stream)
    if (this.#streams.size > 0 || this.#timer === null) return
    this.#clock.clearTimeout(this.#timer)
    this.#timer = null
  }

  #arm(): void {
    this.#timer = this.#clock.setTimeout(() => {
      for (const stream of this.#streams) stream.heartbeat()
      this.#timer = null
      if (this.#streams.size > 0) this.#arm()
    }, this.#interval / 2)
  }
}

// RFC 9110 section 12.4.2; anything else is no weight.
const WEIGHT = /^\s*q\s*=\s*([01](?:\.\d{0,3}0*)?)\s*$/i

/** True when an Accept header asks for an event stream, and for no other type with a greater weight (RFC 9110 section 12.5.1). */
export const acceptsEventStream = (accept: string): boolean => {
  if (!accept.toLowerCase().includes(MEDIA_TYPES.EventStream)) return false
  let events = 0
  let others = 0
  for (const range of accept.split(',')) {
    const [type = '', ...parameters] = range.split(';')
    const name = type.trim().toLowerCase()
    if (name === MEDIA_TYPES.EventStream) events = Math.max(events, weightOf(parameters))
    else if (name !== '') others = Math.max(others, weightOf(parameters))
  }
  return events > 0 && events >= others
}

/** From 0 to 1. */
const weightOf = (parameters: readonly string[]): number => {
  for (const parameter of parameters) {
    const weight = WEIGHT.exec(parameter)?.[1]
    if (weight !== undefined) return Math.min(1, Number(weight))
  }
  return 1
}
