import type { Codec, CodecTable } from '@iopa/constants'
import { type AnswerFields, type AnswerOwner, OPEN } from './answer-fields.ts'
import type { Choose } from './encoding.ts'
import { HeaderMap } from './header-map.ts'
import { READ, readsOf } from './reads.ts'
import { KIND } from './value-kind.ts'

/** True for a scheme of HTTP: an observer gets its answers as server-sent events there, which are text. */
export const isHttp = (scheme: string): boolean => scheme === 'http' || scheme === 'https'

/** What chooses the codec of a value without a content type; undefined where JSON is the only one. */
export const choiceOf = (answer: AnswerFields, codecs: CodecTable): Choose | undefined => {
  const { owner } = answer
  if (!codecs.negotiable || owner === null) return undefined
  return value => {
    addVary(answer, owner)
    return chosen(owner, value, codecs)
  }
}

/** The codec of a value that answers `owner`. In the run of a notification only the choice counts as read, not the header. */
export const chosen = (owner: AnswerOwner, value: unknown, codecs: CodecTable): Codec => {
  const format = codecs.formatOf(value)
  const choose = (): Codec => {
    const text = owner['iopa.Observe'] === true && isHttp(owner['iopa.Scheme'])
    return codecs.choices(owner['iopa.Headers'].getAll('accept').join(), text)[format] as Codec
  }
  const reads = readsOf(owner)
  if (reads === undefined) return choose()
  reads.add(format === 0 ? READ.Codec : READ.SpecialCodec)
  return reads.ignoring(choose)
}

/** Says to caches of HTTP, which keep no event streams, that Accept has chosen among several representations (RFC 9110 section 12.5.5). */
const addVary = (answer: AnswerFields, owner: AnswerOwner): void => {
  // The runs of notifications, whose reads count, all observe.
  if (answer.state !== OPEN || owner['iopa.Observe'] === true || !isHttp(owner['iopa.Scheme'])) return
  const fields = (answer.fields ??= new HeaderMap())
  const named = fields.getAll('vary').some(field => /(?:^|[\s,])(?:accept|\*)(?:$|[\s,])/i.test(field))
  if (!named) fields.append('vary', 'accept')
}

/** Adds what the head of an answer says about negotiation, where its content is not encoded (304). */
export const noteNegotiation = (answer: AnswerFields, codecs: CodecTable): void => {
  const { kind, mediaType, fields, owner } = answer
  if (!codecs.negotiable || owner === null || (kind !== KIND.Value && kind !== KIND.Items) || answer.content === undefined) return
  if (mediaType === '' && fields?.has('content-type') !== true) addVary(answer, owner)
}
