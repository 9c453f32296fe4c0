import type { Capabilities, CodecTable, HeaderFields, HeadersInit, IopaError, ReceivedKeys, SendingOptions } from '@iopa/constants'
import type { BodyHolder } from './held-bytes.ts'
import type { Payload } from './payload-stream.ts'
import type { Problem } from './problem.ts'
import type { SendingCallback } from './sending-callbacks.ts'

/** Header fields that cannot be changed. */
export type SealedHeaders = Omit<HeaderFields, 'set' | 'append' | 'delete'>

/** What all three views of an answer say. */
interface AnswerHead {
  /** Neutral status, 200 to 599. */
  readonly 'iopa.StatusCode': number
  readonly 'iopa.ReasonPhrase': string
  readonly 'iopa.Headers': SealedHeaders
  readonly 'iopa.ContentType': string
  /** Neutral status, 200 to 599. */
  readonly status: number
  /** The reason phrase; that of the status unless one was set. */
  readonly reason: string
  readonly headers: SealedHeaders
  /** The content type of the body; empty for none. */
  readonly type: string
  /** True for a status from 200 to 299. */
  readonly ok: boolean
  /** The error behind a status of 400 and more; null otherwise. */
  readonly error: IopaError | null
  toString(): string
}

/** The content of an answer. A stream that has been read stays readable. */
interface AnswerContent {
  /** The content as bytes. @throws IopaError 413 beyond `limit` bytes. */
  bytes(limit?: number): Promise<Uint8Array<ArrayBuffer>>
  /** The content as text. */
  text(): Promise<string>
  /** The value of the content, by its content type; undefined where there is no content. @throws IopaError 400, 415 in the name of its sender. */
  json(codecs?: CodecTable): Promise<unknown>
}

/** The answer as handlers and middleware see it: they write it, and read what would be sent now. */
export interface Answer extends AnswerContent {
  /** Neutral status: the one that was set, otherwise the one that would be sent now. */
  'iopa.StatusCode': number
  'iopa.ReasonPhrase': string
  get 'iopa.Headers'(): HeaderFields
  set 'iopa.Headers'(headers: HeadersInit)
  'iopa.ContentType': string
  'iopa.Body': unknown
  /** Those of the context that this answers. */
  readonly 'server.Capabilities': Capabilities
  /** Neutral status: the one that was set, otherwise the one that would be sent now. @throws IopaError 500 for one that is not 200 to 599. */
  status: number
  /** The reason phrase; that of the status unless one was set. */
  reason: string
  get headers(): HeaderFields
  set headers(headers: HeadersInit)
  /** The content type of the body. */
  type: string
  /** The value that a handler set; undefined while none has. A web Response or another answer also sets headers, and the status where none is set. */
  body: unknown
  /** True for a status from 200 to 299. */
  readonly ok: boolean
  /** The error behind a status of 400 and more; null otherwise. */
  readonly error: IopaError | null
  /** True once status, headers and body are fixed: later edits throw. */
  readonly sealed: boolean
  /** Answers with the error instead of what handlers have set; headers that do not describe that body stay. */
  fail(error: IopaError): void
  /** Forgets status, body and error, so that another handler can answer; headers stay. */
  reset(): void
  /** Runs `callback` once before the first byte, last registered first, with `last` after all others; the head waits for a promise. */
  onSendingHeaders(callback: SendingCallback, options?: SendingOptions): void
  toString(): string
}

/** What an answer to an observer stands for, when the body is larger than observers may be sent: the answer is a link to it then. */
export interface Excerpt {
  /** Content type of the body. */
  readonly type: string
  /** Bytes of the whole body. */
  readonly size: number
  /** The first bytes of the body, as many as its transport asked for. Empty if they could not be read: then the body has changed again, and the next notification follows. */
  readonly start: Uint8Array
}

/** The answer as a transport writes it: nothing in it can change. */
export interface SealedAnswer extends AnswerHead {
  /** What goes over the wire; null for no body. Strings are UTF-8. */
  readonly payload: Payload
  /** The payload as bytes; a stream must have been collected. */
  readonly payloadBytes: Uint8Array<ArrayBuffer>
  /** True when the payload is a stream. */
  readonly isStream: boolean
  /** The headers' flat list of names and values. */
  readonly headerPairs: readonly string[]
  /** Status and error as problem details, for a transport that has a form of its own for them. */
  readonly problem: Problem
  /** True when the body is the problem itself and nothing that a handler wrote. */
  readonly isProblem: boolean
  /** True for a text that a codec made of a value, false where the payload is text that a handler wrote. */
  readonly encoded: boolean
  /** What the payload is a link to, where the body was too large for observers; null for an answer that is whole. */
  readonly excerpt: Excerpt | null
  /** Path of the resource that answered; empty when no router says. */
  readonly resource: string
  /** Pattern of the route that answered, behind the path base of its mount; empty when no router says. Few values, so a label of metrics. */
  readonly route: string
  /** True for an answer of the run, false before that. */
  readonly sealed: boolean
  /** Turns a stream into bytes, so that the answer can be read more than once; they count for `holder`. @throws IopaError 413 beyond `limit` bytes. */
  collect(limit: number, holder?: BodyHolder): Promise<void>
}

/** The answer as a client receives it, with the keys that the package of its protocol adds. */
export interface ReceivedAnswer extends AnswerHead, AnswerContent, Partial<ReceivedKeys> {
  /** Chunks of bytes, whatever the protocol. A stream is read once; content in memory as often as wanted. */
  readonly body: AsyncIterable<Uint8Array>
}

/** The answer as a client's connection hands it over: complete and sealed. */
export interface LinkAnswer extends Omit<SealedAnswer, keyof ReceivedAnswer>, ReceivedAnswer {}
