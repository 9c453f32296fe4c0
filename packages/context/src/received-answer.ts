import type { CodecTable } from '@iopa/constants'
import type { LinkAnswer, ReceivedAnswer } from './answer.ts'
import { OPEN, type ReceivedParts, rareOf, SEALED } from './answer-fields.ts'
import { AnswerRecord } from './answer-record.ts'
import { HeaderMap } from './header-map.ts'
import { endingStream, type Payload } from './payload-stream.ts'
import { receivedError } from './problem.ts'

/** An answer as it came from a peer: sealed, its payload as received; `codecs` are those of `json()`. */
export const receivedAnswer = (status: number, parts: ReceivedParts = {}): LinkAnswer => {
  const answer = new AnswerRecord()
  answer.code = status
  if (parts.reason !== undefined) rareOf(answer).reason = parts.reason
  if (parts.codecs !== undefined) rareOf(answer).codecs = parts.codecs
  answer.mediaType = parts.type ?? ''
  answer.fields = parts.headers ?? null
  answer.wire = parts.payload ?? null
  answer.content = answer.wire
  answer.state = SEALED
  const { problem } = parts
  if (problem !== undefined) answer.failure = receivedError(status, problem.code ?? '', problem.detail ?? '', { ...problem.extensions })
  return parts.keys === undefined ? handOver(answer) : Object.assign(handOver(answer), parts.keys)
}

/** A received answer with another payload: everything else stays, what the package of its protocol says included. */
export const withPayload = (answer: LinkAnswer, payload: Payload): LinkAnswer =>
  receivedAnswer(answer.status, {
    headers: new HeaderMap([...answer.headerPairs]),
    type: answer.type,
    reason: answer.reason,
    payload,
    keys: Object.fromEntries(Object.entries(answer).filter(([name]) => name.includes('.')))
  })

/** Gives a received answer the codecs of the app for `json()`. */
export const useCodecs = (answer: ReceivedAnswer, codecs: CodecTable): void => {
  const record = answer as unknown as AnswerRecord
  if (record.owner === null) rareOf(record).codecs ??= codecs
}

/**
 * Calls `done` once a streamed payload has been read to its end, has failed or was given up. Reading ends at once with `signal`, and rejects with
 * what `failed` makes of the reason, or of what the stream fails with.
 */
export const whenRead = (answer: AnswerRecord, done: () => void, signal?: AbortSignal, failed?: (error: unknown) => unknown): void => {
  if (!answer.isStream) return
  const own = answer.content === answer.wire
  answer.wire = endingStream(answer.wire as AsyncIterable<Uint8Array>, done, signal, failed)
  if (own) answer.content = answer.wire
}

/** An answer for the client that asked. Once it is sealed its body is a stream of bytes, whatever a handler returned. */
export const handOver = (answer: AnswerRecord): LinkAnswer => {
  answer.received = answer.state !== OPEN
  return answer as unknown as LinkAnswer
}
