import type { Context } from '@iopa/appbuilder'
import { valueType } from '@iopa/appbuilder/extension'
import { MEDIA_TYPES } from '@iopa/constants'

const LETTERS = 'ABDEFGHIJKLMNOPQRSTUVWXYZ'

/**
 * What entity tags say of the media type of an answer, for tags differ between representations (RFC 9110 section 8.8.1): nothing for JSON, a capital
 * for any other type. It depends on the name of the type alone, so that it is the same on every worker and after a restart.
 */
export const typeMark = (context: Context): string => {
  const type = valueType(context)
  if (type === MEDIA_TYPES.Json) return ''
  if (type === 'application/cbor') return 'C'
  let hash = 0
  for (let at = 0; at < type.length; at++) hash = (hash * 31 + type.charCodeAt(at)) % 65_521
  return LETTERS[hash % LETTERS.length] as string
}
