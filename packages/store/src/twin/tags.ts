import { type Context, IopaError } from '@iopa/appbuilder'
import { typeMark } from '../type-mark.ts'
import type { TwinDocument, TwinPart } from './document.ts'

/** The header that says which delta a device has read. CoAP has option 65004 for it, MQTT a user property. */
export const SEEN_HEADER = 'iopa-seen'

/** Of each representation of a twin: the last letter of its entity tag. No digit of a hexadecimal number, which CoAP would read as bytes. */
const LETTER: Record<TwinPart | 'whole', string> = { reported: 'r', desired: 'w', delta: 'x', whole: 't' }

/** The entity tag of a part in the media type of an answer: its version, a letter, and the mark of the type. It fits CoAP (8 bytes, RFC 7252 section 5.10.6). */
export const partTag = (twin: TwinDocument, part: TwinPart | 'whole', context: Context): string => `"${versionTag(twin, part)}${typeMark(context)}"`

/** True for an entity tag of any representation of a part. */
export const isPartTag = (tag: string, twin: TwinDocument, part: TwinPart | 'whole'): boolean =>
  tag.replace(/^"|[A-Z]?"$/g, '') === versionTag(twin, part)

const versionTag = (twin: TwinDocument, part: TwinPart | 'whole'): string =>
  (part === 'whole' ? twin.version : twin[`${part}Version`]).toString(36) + LETTER[part]

const SEEN = /^(?:W\/)?"?([0-9a-z]{1,11})x[A-Z]?"?$/

/**
 * The version of the delta that a device has seen: its header repeats the entity tag of the delta.
 * @throws IopaError 400 for another tag.
 */
export const seenOf = (header: string | undefined): number | undefined => {
  if (header === undefined) return undefined
  const [, digits] = SEEN.exec(header.trim()) ?? []
  const version = digits === undefined ? Number.NaN : Number.parseInt(digits, 36)
  if (Number.isSafeInteger(version)) return version
  throw new IopaError(400, 'bad-seen', `The header ${SEEN_HEADER} repeats the ETag of the delta that the device has read, such as "1cx".`)
}
