import { type Capabilities, type CodecTable, IopaError, isIopaError } from '@iopa/constants'
import type { AnswerReading } from './answer-reading.ts'
import type { AsyncScope } from './async-scope.ts'
import type { Payload } from './encoding.ts'
import type { HeaderMap } from './header-map.ts'
import type { HeldBodies } from './held-bodies.ts'
import type { SendingCallback } from './sending-callbacks.ts'

/** What an answer to an observer stands for, when the body is larger than observers may be sent: the answer is a link to it then. */
export interface Excerpt {
  /** Content type of the body. */
  readonly type: string
  /** Bytes of the whole body. */
  readonly size: number
  /** The first 1,024 bytes of the body. Empty if they could not be read: then the body has changed again, and the next notification follows. */
  readonly start: Uint8Array
}

/** What a path answers although no route has answered the request. */
export interface NotedMethods {
  /** Path base and path. */
  readonly path: string
  readonly methods: ReadonlySet<string>
}

/** What an answer asks of the context that it belongs to. */
export interface AnswerOwner {
  readonly 'server.Capabilities': Capabilities
  readonly 'iopa.Method': string
  /** Before any middleware rewrote it: whether a body is sent depends on it. */
  readonly requestedMethod: string
  readonly environment: { readonly codecs: CodecTable; readonly bodyLimit: number }
  defer(dispose: () => unknown): void
}

/** What a client has received besides the status. */
export interface ReceivedParts {
  readonly headers?: HeaderMap
  readonly type?: string
  readonly payload?: Payload
  readonly reason?: string
  /** Those that `json()` reads with. */
  readonly codecs?: CodecTable
}

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
}

export const rareParts = (): RareParts => ({
  reason: '',
  excerpt: null,
  judged: false,
  noted: null,
  callbacks: [],
  held: null,
  bodyScope: null,
  lengthOfBody: false,
  reading: null,
  codecs: null
})

/** The error of a GET whose handler had nothing to say. */
export const NOT_FOUND: IopaError = Object.freeze(
  Object.assign(new IopaError(404, 'not-found', 'There is nothing at this path.'), { stack: 'IopaError: not-found' })
)

export const sealedError = (): IopaError =>
  new IopaError(500, 'answer-sent', 'The answer has been sent; set status and body before the handler returns.')

/** Headers that describe the body whose place an error takes (RFC 9110 section 8, RFC 9111). */
export const REPRESENTATION_HEADERS: readonly string[] = [
  'content-type',
  'content-length',
  'content-encoding',
  'content-language',
  'content-location',
  'content-range',
  'etag',
  'last-modified',
  'cache-control',
  'expires',
  'location'
]

/** RFC 9112 section 4: a reason phrase is horizontal tab, space, and visible or opaque octets. */
export const BAD_REASON: RegExp = /[^\t\x20-\x7e\x80-\xff]/

/** True for a status whose answer has no content (RFC 9110 sections 15.3.5 and 15.3.6). */
export const hasNoContent = (status: number): boolean => status === 204 || status === 205

/** The status that an error gives to an answer. */
export const statusOfError = (error: unknown): number => (isIopaError(error) && error.status >= 400 && error.status <= 599 ? error.status : 500)
