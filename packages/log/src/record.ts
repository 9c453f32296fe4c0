/** What a line is about. */
export type LogEvent =
  | 'request'
  | 'observation-begun'
  | 'observation-ended'
  | 'notification'
  | 'connection-opened'
  | 'connection-closed'
  | 'refused'
  | 'summary'

export type LogLevel = 'info' | 'warn' | 'error'

/** One line, as far as its event has the fields; docs are in the README. */
export interface LogRecord {
  readonly level: LogLevel
  /** Milliseconds since 1970. */
  readonly time: number
  readonly event: LogEvent
  readonly requestId?: string | undefined
  readonly method?: string | undefined
  /** As the peer has sent it. */
  readonly path?: string | undefined
  /** With tokens hidden; missing where there is none. */
  readonly query?: string | undefined
  /** Neutral status; missing where nothing was answered. */
  readonly status?: number | undefined
  /** Of the body of the answer. */
  readonly bytes?: number | undefined
  /** Milliseconds. */
  readonly duration?: number | undefined
  /** Id of the user. */
  readonly user?: string | undefined
  readonly protocol?: string | undefined
  readonly transport?: string | undefined
  /** Address and port. */
  readonly peer?: string | undefined
  /** Of the error. */
  readonly code?: string | undefined
  /** True where the peer went before it had the whole answer. */
  readonly aborted?: boolean | undefined
  /** Answers that the observer was given. */
  readonly deliveries?: number | undefined
  /** Why an observation or a request ended, unless its answer was written. */
  readonly reason?: string | undefined
  /** True for a change that another instance of the app has made. */
  readonly replica?: boolean | undefined
  /** Of a summary: the event that it counts. */
  readonly of?: string | undefined
  /** Of a summary: lines that were not written. */
  readonly count?: number | undefined
  /** Of a summary: `loopback`, `private`, `public` or `unknown`. */
  readonly addresses?: string | undefined
  /** Header fields that the option `headers` names. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** What the option `fields` gives; in a line they stand beside the others. */
  readonly fields?: Readonly<Record<string, unknown>> | undefined
}

/** Names that extra fields cannot have. */
export const TAKEN: ReadonlySet<string> = new Set<keyof LogRecord>([
  'level',
  'time',
  'event',
  'requestId',
  'method',
  'path',
  'query',
  'status',
  'bytes',
  'duration',
  'user',
  'protocol',
  'transport',
  'peer',
  'code',
  'aborted',
  'deliveries',
  'reason',
  'replica',
  'of',
  'count',
  'addresses',
  'headers'
])
