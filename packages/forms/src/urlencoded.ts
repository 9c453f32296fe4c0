import type { Context } from '@iopa/appbuilder'
import { type Codec, decodeText, IopaError } from '@iopa/transport'
import { Form, valuesOf } from './form.ts'
import type { FormLimits } from './options.ts'
import { fieldNameTooLong, fieldTooLarge, formTooLarge, malformedForm, tooManyFields } from './refusals.ts'

/** The media type of urlencoded forms. */
export const URLENCODED = 'application/x-www-form-urlencoded'

const AMPERSAND = 0x26
/** Fields that the codec reads. */
const MOST_FIELDS = 1000

/** Reads an urlencoded form, which is in memory whole: the limit of the transport on bodies bounds it. */
export const readUrlencoded = async (context: Context, { total, fields, fieldSize, fieldNameSize }: Required<FormLimits>): Promise<Form> => {
  const bytes = await context.bytes()
  if (bytes.length > total) throw formTooLarge(total)
  checkCount(bytes, fields)
  const params = new URLSearchParams(await context.text())
  for (const [name, value] of params) {
    if (isLonger(name, fieldNameSize)) throw fieldNameTooLong(fieldNameSize)
    if (isLonger(value, fieldSize)) throw fieldTooLarge(fieldSize)
  }
  return new Form(params, [])
}

/** A character takes at most three bytes of UTF-8, so that most texts are not measured. */
const isLonger = (text: string, bytes: number): boolean => text.length * 3 > bytes && Buffer.byteLength(text) > bytes

/** Counts separators, before anything is made of the fields. */
const checkCount = (bytes: Uint8Array, most: number): void => {
  let count = bytes.length === 0 ? 0 : 1
  for (let at = bytes.indexOf(AMPERSAND); at >= 0; at = bytes.indexOf(AMPERSAND, at + 1)) if (++count > most) throw tooManyFields(most)
  if (count > most) throw tooManyFields(most)
}

/**
 * The codec of urlencoded forms, for `new App({ codecs: [urlencoded()] })`: `context.json()` reads such bodies too, so that the `input` schema of a route
 * takes them. A value is an object without a prototype, of texts, and arrays of texts for names that came several times.
 */
export const urlencoded = (): Codec => ({
  mediaType: URLENCODED,
  encode,
  decode,
  negotiated: false
})

const decode = (bytes: Uint8Array): Record<string, string | string[]> => {
  checkCount(bytes, MOST_FIELDS)
  const values = valuesOf(new URLSearchParams(decodeText(bytes)))
  // As in JSON: who copies the members must not set a prototype by them.
  if ('__proto__' in values || 'constructor.prototype' in values) throw malformedForm("A form must not have a field '__proto__'.")
  return values
}

const encode = (value: unknown): string => {
  if (value instanceof URLSearchParams) return String(value)
  if (typeof value !== 'object' || value === null) throw new IopaError(500, 'no-form', 'Only an object can be sent as a form.')
  const params = new URLSearchParams()
  for (const [name, member] of Object.entries(value)) for (const item of Array.isArray(member) ? member : [member]) params.append(name, String(item))
  return String(params)
}
