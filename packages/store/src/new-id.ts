import { IopaError, isIopaError } from '@iopa/appbuilder'
import { withOrigin } from '@iopa/constants'
import type { DocumentKeys, Params } from './document-keys.ts'

/** A UUID of version 7 (RFC 9562 section 5.7): ids that were made later are later in the order of keys. */
const timedId = (now: number): string => {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  const view = new DataView(bytes.buffer)
  view.setUint16(0, Math.floor(now / 2 ** 32))
  view.setUint32(2, now % 2 ** 32)
  bytes[6] = 0x70 | ((bytes[6] as number) & 0x0f)
  bytes[8] = 0x80 | ((bytes[8] as number) & 0x3f)
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0'))
    .join('')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/**
 * The key of a new document with these parameters and an id of the server's: that of `make`, else a UUID, without its hyphens where the resource takes none.
 * @throws IopaError 500 where the resource does not take it.
 */
export const newKey = async (keys: DocumentKeys, params: Params, name: string, make: (() => string) | undefined, now: number): Promise<string> => {
  const id = make === undefined ? timedId(now) : make()
  const given = Object.fromEntries(keys.names.flatMap(own => (own in params ? [[own, String(params[own])]] : [])))
  for (const text of make === undefined ? [id, id.replaceAll('-', '')] : [id]) {
    try {
      return await keys.ofParams({ ...given, [name]: text })
    } catch (error) {
      if (!isIopaError(error) || error.status >= 500) throw error
    }
  }
  const detail = `The resource ${keys.pattern} does not take the id "${id}" of a new document: write store(contract, { newId: () => ... }).`
  throw withOrigin(new IopaError(500, 'bad-store', detail), 'internal')
}
