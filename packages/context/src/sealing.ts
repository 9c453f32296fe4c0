import { CodecTable, type IopaError, MEDIA_TYPES } from '@iopa/constants'
import { type AnswerFields, NOT_FOUND, OPEN, rareOf, SEALED, SEALED_PROBLEM, sealedError, statusOfError } from './answer-fields.ts'
import { checkMediaType, type Encoded, encodeKind } from './encoding.ts'
import { headTooLarge, isHeadTooLarge } from './head-check.ts'
import { assignHeaders, HeaderMap } from './header-map.ts'
import { abandonValue, HeldBodies } from './held-bodies.ts'
import { choiceOf } from './negotiation.ts'
import { PayloadStream } from './payload-stream.ts'
import { problemText } from './problem.ts'
import { runCallbacks, type SendingCallback } from './sending-callbacks.ts'
import { chunksOf, type Source } from './source-streams.ts'
import { KIND, unsendable } from './value-kind.ts'

const DEFAULT_CODECS = new CodecTable()

/** Headers that describe the body whose place an error takes (RFC 9110 section 8, RFC 9111). */
const REPRESENTATION_HEADERS: readonly string[] = [
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

/** The codecs of an answer. */
export const codecsOf = (answer: AnswerFields): CodecTable => answer.rare?.codecs ?? answer.owner?.environment.codecs ?? DEFAULT_CODECS

/**
 * Runs the callbacks, encodes the body and fixes the answer; a promise comes back only where a callback is asynchronous.
 * A second call does nothing. May throw or reject; then call `fail` and seal again, which cannot.
 */
export const sealAnswer = (answer: AnswerFields, codecs: CodecTable): void | Promise<void> => {
  if (answer.state !== OPEN) return
  if (answer.rare !== null && answer.rare.callbacks.length > 0) {
    const running = runCallbacks(answer.rare.callbacks)
    if (running !== undefined) return running.then(() => fix(answer, codecs))
  }
  fix(answer, codecs)
}

/**
 * As `onSendingHeaders`, for a package whose callback runs no code of the app: it keeps no asynchronous context, which costs more than most callbacks.
 */
export const beforeSealing = (answer: AnswerFields, callback: SendingCallback): void => {
  if (answer.state !== OPEN) throw sealedError()
  rareOf(answer).callbacks.push(callback)
}

/**
 * For a sealed answer: null when its head can be sent at once. Otherwise a promise of the first chunk, or of an open
 * file where no content follows; it rejects with the failure of the stream.
 */
export const headReady = ({ wire, code, owner, mediaType }: AnswerFields): Promise<void> | null => {
  if (!(wire instanceof PayloadStream)) return null
  if (code === 304 || owner?.requestedMethod === 'HEAD') return wire.opened()
  return mediaType.startsWith(MEDIA_TYPES.EventStream) ? null : wire.ready()
}

/** Answers with the error instead of what handlers have set; headers that do not describe that body stay. */
export const failAnswer = (answer: AnswerFields, error: IopaError): void => {
  if (answer.state !== OPEN) throw sealedError()
  answer.code = error.status
  if (answer.rare !== null) answer.rare.reason = ''
  answer.mediaType = ''
  if (answer.content !== undefined) giveUp(answer)
  answer.content = undefined
  answer.kind = KIND.Value
  answer.failure = error
  const { fields } = answer
  if (fields !== null) for (const name of REPRESENTATION_HEADERS) fields.delete(name)
  if (error.headers !== undefined) assignHeaders((answer.fields ??= new HeaderMap()), error.headers)
}

/** Replaces a sealed answer, of which nothing has been sent, by the problem of an error. */
export const refuseAnswer = (answer: AnswerFields, error: IopaError, codecs: CodecTable): void => {
  if (answer.wire instanceof PayloadStream) void answer.wire.return()
  answer.wire = null
  answer.state = OPEN
  if (answer.fields !== null) answer.fields = HeaderMap.from(answer.fields)
  failAnswer(answer, error)
  fix(answer, codecs)
}

/** What sealing would send now. */
export const preview = (answer: AnswerFields): Encoded => {
  if (answer.content !== undefined) return encode(answer, answer.fields?.get('content-type') || answer.mediaType, codecsOf(answer))
  const status = answer.code || impliedStatus(answer)
  const error = answer.failure ?? (answer.code === 0 ? NOT_FOUND : null)
  return { payload: status >= 400 ? problemText(status, error) : null, type: MEDIA_TYPES.ProblemJson }
}

/** The status of an answer whose handler has set none. */
export const impliedStatus = ({ content, kind, owner }: AnswerFields): number => {
  if (content !== undefined) return kind === KIND.Unsendable ? 500 : kind === KIND.Error ? statusOfError(content) : 200
  if (owner === null) return 0
  const method = owner['iopa.Method']
  return method === 'GET' || method === 'HEAD' ? 404 : 204
}

/** The one reader of a stream; what was not read to its end is given up when the scope ends. */
export const holdStream = (answer: AnswerFields, source: Source): PayloadStream => {
  const rare = rareOf(answer)
  if (rare.held === null) {
    const held = new HeldBodies()
    rare.held = held
    answer.owner?.defer(() => held.giveUp())
  }
  return rare.held.hold(source)
}

const fix = (answer: AnswerFields, codecs: CodecTable): void => {
  // Other code may have sealed the answer while a callback was running.
  if (answer.state !== OPEN) return
  if (answer.code === 0) {
    const status = impliedStatus(answer)
    if (status === 404) failAnswer(answer, NOT_FOUND)
    else answer.code = status || 204
  }
  if (answer.fields !== null) fixHeaders(answer, answer.fields)
  if (answer.mediaType !== '') checkMediaType(answer.mediaType)
  const { code, content } = answer
  // RFC 9110 sections 15.3.5 and 15.3.6: these have no content; nor has a redirect whose body is null.
  if (code === 204 || code === 205 || (content === null && code >= 300 && code < 400)) dropContent(answer)
  else if (content === undefined) {
    if (code >= 400) {
      answer.mediaType = MEDIA_TYPES.ProblemJson
      answer.state = SEALED_PROBLEM
    }
  } else if (answer.kind === KIND.Text && answer.mediaType === '') {
    // As encodeKind, for the most frequent value.
    answer.wire = String(content)
    answer.mediaType = MEDIA_TYPES.Text
  } else {
    const encoded = encode(answer, answer.mediaType, codecs)
    answer.wire = encoded.payload
    answer.mediaType = encoded.type
  }
  if (answer.state === OPEN) answer.state = SEALED
  answer.fields?.freeze()
}

/** Moves the content type to its place, and refuses a head that no peer can read. */
const fixHeaders = (answer: AnswerFields, headers: HeaderMap): void => {
  const stated = headers.get('content-type')
  if (stated !== undefined) {
    answer.mediaType = stated
    headers.delete('content-type')
  }
  if (!isHeadTooLarge(headers.pairs())) return
  // The problem that is sent instead could not be read with them either.
  answer.fields = null
  // A failure has been logged already.
  if (answer.failure === null || answer.code < 500) throw headTooLarge()
}

const encode = (answer: AnswerFields, type: string, codecs: CodecTable): Encoded => {
  const body = answer.content
  if (answer.kind === KIND.Stream) {
    const stream = holdStream(answer, body as Source)
    if (stream.begun) throw unsendable(body)
    return { payload: stream, type: type || MEDIA_TYPES.OctetStream }
  }
  if (answer.kind !== KIND.Items) return encodeKind(answer.kind, body, type, codecs, type === '' ? choiceOf(answer, codecs) : undefined)
  const scope = answer.rare?.bodyScope ?? null
  return scope === null ? encodeItems(answer, type, codecs) : scope.runInAsyncScope(encodeItems, undefined, answer, type, codecs)
}

const encodeItems = (answer: AnswerFields, type: string, codecs: CodecTable): Encoded => {
  const body = answer.content
  // HEAD takes nothing out of a generator, not even the item that would show its type.
  if (answer.owner?.requestedMethod === 'HEAD' && typeof (body as { next?: unknown }).next === 'function') {
    return { payload: chunksOf(body as Source), type }
  }
  const encoded = encodeKind(KIND.Items, body, type, codecs, type === '' ? choiceOf(answer, codecs) : undefined)
  if (encoded.payload instanceof PayloadStream) holdStream(answer, encoded.payload)
  return encoded
}

const dropContent = (answer: AnswerFields): void => {
  if (answer.content !== undefined && answer.content !== null) giveUp(answer)
  answer.mediaType = ''
  answer.fields?.delete('content-length')
}

const giveUp = (answer: AnswerFields): void => {
  if (answer.kind === KIND.Stream) void holdStream(answer, answer.content as Source).return()
  else abandonValue(answer.content)
}
