import { type Context, IopaError } from '@iopa/appbuilder'

/** The media type of a protected message in HTTP. CoAP has none for it, and must not have the Content-Format of this one (RFC 8613 section 11.3). */
const MEDIA_TYPE = 'application/oscore'
/** The field for an option without a value: a flag byte of zero (RFC 8613 section 11.2). */
const EMPTY = 'AA'
// base64url without padding of a value with all its fields: flags, Partial IV, kid context, kid.
const FIELD = /^[\w-]{2,700}$/

/**
 * The OSCORE option of a request that came over HTTP, from its header field of that name; undefined for one that is not protected.
 * @throws IopaError 400 for one that is no POST of `application/oscore` (RFC 8613 section 11.1)
 */
export const optionFromHttp = (context: Context): Uint8Array | undefined => {
  const fields = context['iopa.Headers'].getAll('oscore')
  const hasType = context['iopa.ContentType'].split(';', 1)[0]!.trim().toLowerCase() === MEDIA_TYPE
  if (fields.length === 0 && !hasType) return undefined
  const [field = ''] = fields
  const value = Buffer.from(field, 'base64url')
  if (context['iopa.Method'] !== 'POST' || !hasType || fields.length !== 1 || !FIELD.test(field) || value.toString('base64url') !== field)
    throw new IopaError(
      400,
      'bad-request',
      `A message under OSCORE is a POST of ${MEDIA_TYPE} with one header field OSCORE in base64url, without padding.`
    )
  return field === EMPTY ? new Uint8Array(0) : value
}

/** The header fields of a protected response. */
export const fieldsOfSealed = (option: Uint8Array): [string, string][] => [
  ['content-type', MEDIA_TYPE],
  ['oscore', option.length === 0 ? EMPTY : Buffer.from(option).toString('base64url')],
  ['cache-control', 'no-store']
]
