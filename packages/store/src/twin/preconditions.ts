import { type Context, IopaError, type Reply, reply } from '@iopa/appbuilder'
import { evaluate } from '@iopa/appbuilder/extension'
import type { Context as OwnedContext } from '@iopa/transport'
import type { TwinDocument, TwinPart } from './document.ts'
import { isPartTag, partTag } from './tags.ts'

const preconditionFailed = (): IopaError =>
  new IopaError(412, 'precondition-failed', 'The twin is not in the state that the precondition names; get it, then try again.')

/** True when a header of the request states a precondition (RFC 9110 section 13.1). A replica has none. */
export const hasPrecondition = (context: Context): boolean => !context['server.IsReplica'] && (context as OwnedContext).hasPrecondition

const verdictOf = (context: Context, twin: TwinDocument, part: TwinPart | 'whole', reads: boolean) =>
  evaluate(
    context.headers,
    { exists: true, etag: partTag(twin, part, context), lastModified: undefined, isVersion: tag => isPartTag(tag, twin, part) },
    reads
  )

/** @throws IopaError 412 where the precondition of a change does not hold. */
export const assertHolds = (context: Context, twin: TwinDocument, part: TwinPart | 'whole'): void => {
  if (verdictOf(context, twin, part, false) === 'failed') throw preconditionFailed()
}

/** @throws IopaError 408 for a request whose peer has left while it waited for its turn. */
export const assertWaits = (context: Context): void => {
  if (context.ended) throw new IopaError(408, 'answer-gone', 'The request was over before its turn came.')
}

/** The answer 304 to a read that would repeat itself; undefined otherwise. @throws IopaError 412. */
export const notModified = (context: Context, twin: TwinDocument, part: TwinPart | 'whole'): Reply | undefined => {
  if (context['iopa.Observe'] === true || !hasPrecondition(context)) return undefined
  const verdict = verdictOf(context, twin, part, true)
  if (verdict === 'failed') throw preconditionFailed()
  return verdict === 'not-modified' ? reply(304, undefined, { etag: partTag(twin, part, context) }) : undefined
}
