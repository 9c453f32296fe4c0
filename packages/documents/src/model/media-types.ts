import type { Operation } from './operation.ts'

/** Media types of the Content-Format numbers that routes name (RFC 7252 section 12.3 and its registry). */
const CONTENT_FORMATS: Readonly<Record<number, string>> = {
  0: 'text/plain; charset=utf-8',
  40: 'application/link-format',
  41: 'application/xml',
  42: 'application/octet-stream',
  50: 'application/json',
  60: 'application/cbor',
  110: 'application/senml+json',
  112: 'application/senml+cbor',
  432: 'application/td+json'
}

export const JSON_TYPE = 'application/json'

/** The media types in which an operation answers: those of its Content-Formats, JSON where it has a schema, and any where nothing is known. */
export const answerTypesOf = ({ route: { attributes }, answer }: Operation): readonly string[] => {
  const numbers = attributes.ct === undefined ? [] : typeof attributes.ct === 'number' ? [attributes.ct] : attributes.ct
  const types = numbers.flatMap(number => CONTENT_FORMATS[number] ?? [])
  return types.length > 0 ? types : [answer === undefined ? '*/*' : JSON_TYPE]
}
