import { type Capabilities, type CodecTable, type HeaderFields, IopaError, isIopaError, type ReceivedKeys } from '@iopa/constants'
import type { Excerpt } from './answer.ts'
import type { AnswerReading } from './answer-reading.ts'
import type { AsyncScope } from './async-scope.ts'
import type { HeaderMap } from './header-map.ts'
import type { HeldBodies } from './held-bodies.ts'
import type { Payload } from './payload-stream.ts'
import type { SendingCallback } from './sending-callbacks.ts'
import type { Kind } from './value-kind.ts'

/** The methods of a path that no route has answered. */
export interface NotedMethods {
  /** Path base and path. */
  readonly path: string
  readonly methods: ReadonlySet<string>
}

/** What an answer asks of the context that it belongs to. */
export interface AnswerOwner {
  readonly 'server.Capabilities': Capabilities
  readonly 'iopa.Method': string
  readonly 'iopa.Headers': HeaderFields
  readonly 'iopa.Scheme': string
  readonly 'iopa.Observe'?: boolean | undefined
  /** Before any middleware rewrote it: whether a body is sent depends on it. */
  readonly requestedMethod: string
  readonly environment: { readonly codecs: CodecTable; readonly bodyLimit: number }
  defer(dispose: () => unknown): void
}

/** What an error that a client has received says of itself, where its protocol has a form of its own for that. */
export interface ReceivedProblem {
  readonly code?: string | undefined
  readonly detail?: string | undefined
  readonly extensions?: Readonly<Record<string, unknown>> | undefined
}

/** What a client has received besides the status. */
export interface ReceivedParts {
  readonly headers?: HeaderMap
  readonly type?: string
  readonly payload?: Payload
  readonly reason?: string
  /** Those that `json()` reads with. */
  readonly codecs?: CodecTable
  /** Of an error; without it the problem in the payload. */
  readonly problem?: ReceivedProblem | undefined
  /** What the package of the protocol says of the answer. */
  readonly keys?: Partial<ReceivedKeys>
}

export const OPEN = 0
export const SEALED = 1
/** Sealed, and the payload is the problem, whose text is made when it is read. */
export const SEALED_PROBLEM = 2

/** OPEN, SEALED or SEALED_PROBLEM. */
export type AnswerState = 0 | 1 | 2

/** What few answers have. */
export interface RareParts {
  /** Custom reason phrase; empty means the registered one. */
  reason: string
  excerpt: Excerpt | null
  judged: boolean
  noted: NotedMethods | null
  readonly callbacks: SendingCallback[]
  held: HeldBodies | null
  /** The asynchronous context in which an iterable became the body: its items are made there. */
  bodyScope: AsyncScope | null
  /** True when `content-length` came with the body, so that it goes with it. */
  lengthOfBody: boolean
  reading: AnswerReading | null
  codecs: CodecTable | null
  /** States that an observer has missed, which it gets before this one. */
  earlier: AsyncIterable<EarlierState> | null
  /** Of the first answer to an observer: how many answers it has been given. */
  deliveries: number
  /** Called before the first of them. */
  observed: (() => void) | null
}

/** A state that a resource had, as its observers would have got it. */
export interface EarlierState {
  readonly body: unknown
  readonly headers: Readonly<Record<string, string>>
}

/** The state of one answer: what sealing reads and fixes. Accessors over it are in `answer-record.ts`. */
export interface AnswerFields {
  /** The context that this answers; null for an answer that came from a peer. */
  readonly owner: AnswerOwner | null
  state: AnswerState
  /** The status that was set; 0 for none. */
  code: number
  mediaType: string
  fields: HeaderMap | null
  /** The value of the body, and its kind. */
  content: unknown
  kind: Kind
  /** The encoded body. */
  wire: Payload
  failure: IopaError | null
  rare: RareParts | null
}

/** The rare parts of an answer, made on first use. */
export const rareOf = (answer: AnswerFields): RareParts =>
  (answer.rare ??= {
    reason: '',
    excerpt: null,
    judged: false,
    noted: null,
    callbacks: [],
    held: null,
    bodyScope: null,
    lengthOfBody: false,
    reading: null,
    codecs: null,
    earlier: null,
    deliveries: 0,
    observed: null
  })

/** The error of a GET whose handler set nothing. */
export const NOT_FOUND: IopaError = Object.freeze(
  Object.assign(new IopaError(404, 'not-found', 'There is nothing at this path.'), { stack: 'IopaError: not-found' })
)

export const sealedError = (): IopaError =>
  new IopaError(500, 'answer-sent', 'The answer has been sent; set status and body before the handler returns.')

/** RFC 9112 section 4: a reason phrase is horizontal tab, space, and visible or opaque octets. */
export const BAD_REASON: RegExp = /[^\t\x20-\x7e\x80-\xff]/

/** The status that an error gives to an answer. */
export const statusOfError = (error: unknown): number => (isIopaError(error) && error.status >= 400 && error.status <= 599 ? error.status : 500)
