import { MEDIA_TYPES } from '@iopa/constants'
import type { Context } from './context.ts'
import { chosen } from './negotiation.ts'
import type { RunContext } from './run-context.ts'
import { contextOf, RECORD } from './slots.ts'

/**
 * The media type that a value gets when it answers `context`: the one that was set, otherwise the one that its Accept header chooses. For handlers
 * that must know it before they answer, as for an ETag of that form. Give the value where codecs of special formats may take it.
 */
export const valueType = (context: Context, value?: unknown): string => {
  const owner = contextOf(context as RunContext)
  const answer = owner[RECORD]
  const stated = answer.fields?.get('content-type') || answer.mediaType
  if (stated !== '') return stated
  const { codecs } = owner.environment
  return codecs.negotiable ? chosen(owner, value, codecs).mediaType : MEDIA_TYPES.Json
}
