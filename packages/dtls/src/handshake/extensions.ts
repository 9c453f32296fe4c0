import { ALERT, HandshakeFailure } from '../alerts.ts'
import { ByteReader, numberBytes, vector } from '../bytes.ts'

/** Numbers of extensions. */
export const EXTENSION = {
  SERVER_NAME: 0,
  SUPPORTED_GROUPS: 10,
  EC_POINT_FORMATS: 11,
  SIGNATURE_ALGORITHMS: 13,
  CLIENT_CERTIFICATE_TYPE: 19,
  SERVER_CERTIFICATE_TYPE: 20,
  EXTENDED_MASTER_SECRET: 23,
  SESSION_TICKET: 35,
  CONNECTION_ID: 54,
  RENEGOTIATION_INFO: 0xff01
} as const

/** Extensions of a hello message by number, in their order. */
export type Extensions = ReadonlyMap<number, Uint8Array>

/** Reads what is left of a hello message. @throws HandshakeFailure for an extension that is there twice (RFC 5246 section 7.4.1.4). */
export const readExtensions = (reader: ByteReader): Extensions => {
  const extensions = new Map<number, Uint8Array>()
  if (reader.left === 0) return extensions
  const list = new ByteReader(reader.vector(2))
  reader.end()
  while (list.left > 0) {
    const type = list.number(2)
    if (extensions.has(type)) throw new HandshakeFailure(ALERT.ILLEGAL_PARAMETER, `Extension ${type} is there twice.`)
    extensions.set(type, list.vector(2))
  }
  return extensions
}

/** The extensions as they end a hello message: nothing where there are none. */
export const extensionBytes = (extensions: Extensions): Buffer =>
  extensions.size === 0
    ? Buffer.alloc(0)
    : vector(2, ...Array.from(extensions, ([type, data]) => Buffer.concat([numberBytes(type, 2), vector(2, data)])))
